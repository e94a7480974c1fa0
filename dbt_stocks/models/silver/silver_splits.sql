with

actions as (select * from {{ ref('silver_corporate_actions') }}),

sessions as (select * from {{ ref('sessions') }}),

splits as (
    select * from actions
    where action_type = 'split'
),

chains as ({{ chains_of('splits') }}),

-- Two sources that report the same split report it once.
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
    from splits
    where is_current
),

preferred as (
    select
        ranked.instrument_id,
        ranked.source,
        ranked.split_ratio,
        ranked.simulated,
        ranked.ex_date,
        ranked.as_of,
        chains.chain,
        chains.batch_id
    from ranked
    inner join chains
        on
            ranked.instrument_id = chains.instrument_id
            and ranked.ex_date = chains.ex_date
    where ranked.preference = 1
),

{{ judged_tellings('preferred', 'split_ratio') }},

placed as (
    select
        judged.instrument_id,
        judged.source,
        case when judged.is_holding then judged.split_ratio else 1 end
            as split_ratio,
        judged.is_holding,
        judged.simulated,
        judged.ex_date,
        sessions.open_at,
        judged.as_of,
        judged.batch_id
    from judged
    inner join sessions on judged.ex_date = sessions.session_date
)

select * from placed
