{{ config(severity='warn') }}

-- A dividend that is not smaller than the close before it: an error of its source. It has no factor
-- and its day no total return.
with

returns as (select * from {{ ref('silver_daily_returns') }}),

absurd as (
    select
        instrument_id,
        session_date,
        dividend_amount,
        previous_close_price
    from returns
    where dividend_amount * split_ratio >= previous_close_price
)

select * from absurd
