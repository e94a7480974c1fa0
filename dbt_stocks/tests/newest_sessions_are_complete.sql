{{ config(meta={'dimension': 'completeness'}) }}

-- Who lacks a finished bar in the newest session, where so many do that it is no session yet.
with

{{ missing_in_newest_sessions() }}

select * from missing
where share < {{ var('newest_session_min_share') }}
