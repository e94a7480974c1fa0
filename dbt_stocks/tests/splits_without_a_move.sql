{{ config(severity='warn') }}

-- A split that the price does not show: on its new basis it moved by more than a half, or doubled.
-- The source has told of a split that did not happen, or has not divided its bars by one that did.
with

returns as (select * from {{ ref('silver_daily_returns') }}),

discontinuous as (
    select
        instrument_id,
        session_date,
        split_ratio,
        price_return_1d
    from returns
    where
        split_ratio <> 1
        and (price_return_1d < -0.5 or price_return_1d > 1)
)

select * from discontinuous
