-- What warranties cover is looked at, too: what was looked through before is looked through once more.
set local lock_timeout = '5s';

delete from catalog.goods_sweep;
