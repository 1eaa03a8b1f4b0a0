-- People page through what waits, of all merchants or of one, by the order's id: as they were placed.

create index review_waiting_by_order on risk.review (order_id) where verdict is null;
create index review_waiting_of_merchant on risk.review (merchant, order_id) where verdict is null;
drop index risk.review_waiting;
