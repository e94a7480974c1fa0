{{ config(severity='warn', meta={'dimension': 'completeness'}) }}

-- Who had a daily bar the session before and has no finished one in the newest.
with

{{ missing_in_newest_sessions() }}

select * from missing
