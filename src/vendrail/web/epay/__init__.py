"""The doors of Epay (易支付, V1): submit.php for browsers, mapi.php and api.php for card sites."""
