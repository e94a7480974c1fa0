with

actions as (select * from {{ ref('silver_corporate_actions') }}),

factors as (select * from {{ ref('silver_split_factors') }}),

tellings as (
    select * from actions
    where action_type = 'dividend'
),

chains as ({{ chains_of('tellings') }}),

-- Two sources that report the same dividend report it once.
ranked as (
    select
        *,
        row_number() over (
            partition by instrument_id, ex_date
            order by
                simulated,
                {{ source_rank() }},
                source,
                as_of desc
        ) as preference
    from tellings
    where is_current
),

preferred as (
    select
        ranked.instrument_id,
        ranked.source,
        ranked.dividend_amount,
        ranked.simulated,
        ranked.ex_date,
        ranked.as_of,
        chains.chain,
        coalesce(factors.split_factor, 1) as split_factor,
        greatest(chains.batch_id, coalesce(factors.batch_id, 0)) as known_batch_id
    from ranked
    inner join chains
        on
            ranked.instrument_id = chains.instrument_id
            and ranked.ex_date = chains.ex_date
    left join factors
        on
            ranked.instrument_id = factors.instrument_id
            and ranked.source = factors.source
            and ranked.simulated = factors.simulated
            and ranked.ex_date = factors.session_date
            and ranked.as_of = factors.as_of
    where ranked.preference = 1
),

-- Sources are compared per share of the day, whatever splits they divided it by.
per_share_of_the_day as (
    select
        *,
        {{ as_traded('dividend_amount') }} as amount,
        max(known_batch_id) over (partition by instrument_id, chain) as batch_id
    from preferred
),

{{ judged_tellings('per_share_of_the_day', 'amount') }},

held as (
    select
        instrument_id,
        source,
        case when is_holding then amount else 0 end as dividend_amount,
        is_holding,
        simulated,
        ex_date,
        as_of,
        batch_id
    from judged
)

select * from held
