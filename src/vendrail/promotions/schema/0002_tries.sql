-- When an order asked for its coupon again: then the first try alone does not give it back.

alter table promotions.use add column asked_again_at timestamptz;
