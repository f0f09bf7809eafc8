-- One stream of several tables, each with its columns and its rows. Which comes first, each key decides for itself.
CREATE TABLE carts (id int PRIMARY KEY, customer_id int NOT NULL, status text);
CREATE TABLE cart_lines (id int PRIMARY KEY, customer_id int NOT NULL, sku text, price numeric(12,2));
CREATE TABLE coupons (id int PRIMARY KEY, customer_id int NOT NULL, code text);
CREATE CDC STREAM shop ON carts, cart_lines (id, customer_id, sku) WHERE (price > 0)
  TO WEBHOOK 'http://127.0.0.1:7490/shop'
  OPERATIONS (INSERT)
  KEY (customer_id)
  COMMENT 'what customers put into their carts';
SHOW CDC STREAM TABLES shop;
ALTER CDC STREAM shop ADD TABLE coupons;
ALTER CDC STREAM shop DROP TABLE cart_lines;
ALTER CDC STREAM shop SET (batch_max_events = 50);
ALTER CDC STREAM shop SET TO WEBHOOK 'http://127.0.0.1:7490/shop/v2';
ALTER CDC STREAM shop SET WHEN (NEW.customer_id <> 0);
ALTER CDC STREAM shop RENAME TO storefront;
COMMENT ON CDC STREAM storefront IS 'carts and coupons';
SHOW CREATE CDC STREAM storefront;
SHOW CDC STREAM HISTORY storefront;
-- A name that is nearly right is offered.
ALTER CDC STREAM storefrnt PAUSE;
ALTER CDC STREAM storefront DROP TABLE coupon;
DROP CDC STREAM storefront;
DROP TABLE carts, cart_lines, coupons;
