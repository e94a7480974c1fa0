{{ config(meta={'dimension': 'timeliness'}) }}

-- Feeds that the project cannot do without, and that are stale or have never brought anything.
with

freshness as (select * from {{ ref('gold_freshness') }}),

required as (
    {%- for feed in var('required_feeds') %}
    select
        '{{ feed.split('.')[0] }}' as source,
        '{{ feed.split('.')[1] }}' as feed
    union all
    {%- endfor %}
    select
        cast(null as varchar) as source,
        cast(null as varchar) as feed
),

missing as (
    select
        required.source,
        required.feed,
        freshness.last_event_at
    from required
    left join freshness
        on
            required.source = freshness.source
            and required.feed = freshness.feed
            and freshness.status in ('ok', 'late')
    where required.source is not null and freshness.source is null
)

select * from missing
