with

actions as (select * from {{ ref('silver_corporate_actions') }}),

sessions as (select * from {{ ref('sessions') }}),

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
        ) as preference,
        max(batch_id) over (partition by instrument_id, ex_date)
            as known_batch_id
    from actions
    where is_current and action_type = 'split'
),

preferred as (
    select
        ranked.instrument_id,
        ranked.source,
        ranked.split_ratio,
        ranked.simulated,
        ranked.ex_date,
        sessions.open_at,
        ranked.as_of,
        ranked.known_batch_id as batch_id
    from ranked
    inner join sessions on ranked.ex_date = sessions.session_date
    where ranked.preference = 1
)

select * from preferred
