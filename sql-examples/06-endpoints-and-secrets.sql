-- A destination that streams share, and a secret that nobody is shown again.
CREATE TABLE accounts (id int PRIMARY KEY, email text);
CREATE TABLE logins (id int PRIMARY KEY, account_id int, at timestamptz);
CREATE CDC ENDPOINT crm AS 'http://127.0.0.1:7490/crm' WITH (request_timeout = '5s', headers = '{"X-Team": "crm"}');
CREATE CDC STREAM accounts_to_crm ON accounts TO ENDPOINT crm;
CREATE CDC STREAM logins_to_crm ON logins TO ENDPOINT crm;
CREATE CDC SECRET signing AS 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD';
ALTER CDC SECRET signing AS 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' KEEP OLD FOR '24h';
SHOW CDC ENDPOINTS;
SHOW CDC SECRETS;
SHOW CREATE CDC ENDPOINT crm;
-- Streams follow their endpoint wherever it goes, under whatever name.
ALTER CDC ENDPOINT crm AS 'http://127.0.0.1:7490/crm/v2';
ALTER CDC ENDPOINT crm SET ("header.X-Region" = 'eu');
ALTER CDC ENDPOINT crm RENAME TO customers;
SHOW CREATE CDC STREAM accounts_to_crm;
-- What is in use stays.
DROP CDC ENDPOINT customers;
DROP CDC STREAM accounts_to_crm, logins_to_crm;
DROP CDC ENDPOINT customers;
DROP CDC SECRET signing;
DROP TABLE accounts, logins;
