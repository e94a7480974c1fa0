{#-
    `ops.model_state`: what the rows of every table model rest on. Written by a hook of the model in the
    model's own transaction, so that dbt by hand and a task for each model keep it too.

    covered_batch: every load batch up to it has been judged by all that the model reads. It is the
    least of its parents', taken before the model reads them; views pass on what theirs have. Of raw
    tables, and of a parent that has judged all that its own raw tables hold, it is the newest batch of
    all: whoever reads bars has nothing to do in a batch of quotes. NULL where nothing loaded is read.
    generation: a number that grows with every rebuild in full. A model whose parent has a higher one
    rests on rows that are there no more, and is rebuilt in full, whatever was asked for.
    content_hash: of a seed, so that one whose lines have changed counts as rebuilt and what stands on
    it is judged again; NULL of models.
    kept_for: '' for the tables as they are, else the published build whose marts are meant.
-#}
{% macro create_model_state() -%}
    create table if not exists ops.model_state (
        schema_name varchar not null,
        model_name varchar not null,
        covered_batch bigint,
        generation bigint not null,
        rebuilt_since varchar,
        content_hash varchar,
        build_id varchar not null,
        kept_for varchar not null
    )
{%- endmacro %}

{#- Ids of the tables and seeds that a model stands on, views passed through; raw ones are sources. -#}
{% macro standing_on(unique_id) %}
    {%- set found = [] -%}
    {%- for parent in graph.nodes[unique_id].depends_on.nodes -%}
        {%- if parent in graph.sources -%}
            {%- if graph.sources[parent].source_name == 'common' -%}
                {%- do found.append(parent) -%}
            {%- endif -%}
        {%- elif graph.nodes[parent].config.materialized == 'view' -%}
            {%- do found.extend(standing_on(parent)) -%}
        {%- else -%}
            {%- do found.append(parent) -%}
        {%- endif -%}
    {%- endfor -%}
    {{- return(found | unique | list) -}}
{% endmacro %}

{#- Ids of the raw tables that a node's rows come from, through all that is between. -#}
{% macro raw_tables_of(unique_id, seen=none) %}
    {%- set seen = {} if seen is none else seen -%}
    {%- if unique_id not in seen -%}
        {%- do seen.update({unique_id: unique_id in graph.sources
            and graph.sources[unique_id].source_name == 'common'}) -%}
        {%- if unique_id in graph.nodes -%}
            {%- for parent in graph.nodes[unique_id].depends_on.nodes or [] -%}
                {%- do raw_tables_of(parent, seen) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endif -%}
    {{- return(seen.items() | selectattr(1) | map('first') | list) -}}
{% endmacro %}

{#- `model['state']` of the model that runs, asked for once and before it reads anything. -#}
{% macro ask_model_state() %}
    {%- if 'state' not in model -%}
        {%- do model.update({'state': judged_model_state()}) -%}
    {%- endif -%}
{% endmacro %}

{% macro judged_model_state() %}
    {%- set parents = standing_on(model.unique_id) -%}
    {%- set found = {} -%}
    {%- set newest_of = {} -%}
    {%- for row in run_query(known_states([model.unique_id] + parents)) -%}
        {%- set covered = row[1] | int if row[1] is not none else none -%}
        {%- do found.update({row[0]: {'covered': covered, 'generation': row[2] | int}}) -%}
        {%- if row[0] in graph.sources -%}
            {%- do newest_of.update({row[0]: covered}) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set newest = newest_of.values() | max -%}
    {%- set before = found.get(model.name) -%}
    {%- set below = [] -%}
    {%- set covered = [] -%}
    {%- set generations = [before.generation if before else 0] -%}
    {%- for parent in parents -%}
        {%- set is_raw = parent in graph.sources -%}
        {%- set name = parent.split('.') | last -%}
        {%- set nothing = {'covered': none if is_raw else 0, 'generation': 0} -%}
        {%- set state = nothing if is_raw else found.get(name, nothing) -%}
        {%- do generations.append(state.generation) -%}
        {%- if is_raw or state.covered == newest -%}
            {%- do covered.append(newest) -%}
        {%- elif state.covered is not none -%}
            {%- set due = [0] -%}
            {%- for table in raw_tables_of(parent) -%}
                {%- do due.append(newest_of[table]) -%}
            {%- endfor -%}
            {%- do covered.append(newest if state.covered >= due | max else state.covered) -%}
        {%- endif -%}
        {%- if before and state.generation > before.generation -%}
            {%- do below.append(name) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set relation = adapter.get_relation(this.database, this.schema, this.table) -%}
    {%- set is_kept = model.config.materialized == 'incremental' -%}
    {%- set is_there = relation is not none and relation.type == 'table' -%}
    {%- set reason -%}
        {%- if is_kept and is_there and not flags.FULL_REFRESH -%}
            {%- if not before -%}
                nothing is known of its rows
            {%- elif below -%}
                {{ below | sort | join(', ') }} had been rebuilt
            {%- endif -%}
        {%- endif -%}
    {%- endset -%}
    {%- set is_new = flags.FULL_REFRESH or is_kept and (not is_there or reason) -%}
    {{- return({
        'is_new': is_new,
        'first_batch': (before.covered or 0) + 1 if before else 0,
        'covered_batch': covered | min if covered else none,
        'generation': found['(newest)'].generation + 1 if is_new else generations | max,
        'reason': reason | trim,
    }) -}}
{% endmacro %}

{#- What is written down of some nodes, the newest generation, and the newest batch of each raw table. -#}
{% macro known_states(unique_ids) -%}
    {%- set names = [] -%}
    {%- for unique_id in unique_ids -%}
        {%- do names.append(unique_id.split('.') | last) -%}
    {%- endfor -%}
    select
        model_name,
        covered_batch,
        generation
    from ops.model_state
    where kept_for = '' and model_name in ('{{ names | join("', '") }}')
    union all
    select
        '(newest)' as model_name,
        cast(null as bigint) as covered_batch,
        coalesce(max(generation), 0) as generation
    from ops.model_state
    {%- for table in graph.sources.values() if table.source_name == 'common' %}
    union all
    select
        '{{ table.unique_id }}' as model_name,
        coalesce(max(batch_id), 0) as covered_batch,
        0 as generation
    from {{ table.schema }}.{{ table.identifier }}
    {%- endfor %}
{%- endmacro %}

{#- dbt's own, and what stands on rows that are there no more is rebuilt without being asked. -#}
{% macro should_full_refresh() %}
    {%- set is_kept = model.config.materialized == 'incremental' -%}
    {%- if is_kept -%}
        {%- do ask_model_state() -%}
    {%- endif -%}
    {{- return(flags.FULL_REFRESH or (is_kept and model['state'].reason != '')) -}}
{% endmacro %}

{#-
    Pre-hook of every table: its state is asked for before it reads. Where the rows are to be replaced
    it is forgotten first: an engine that commits the new table before the hooks after it (Snowflake)
    and is stopped in between must not keep the old rows' state beside new rows.
-#}
{% macro see_model_state() -%}
    {%- if execute and model.config.materialized != 'view' -%}
        {%- do ask_model_state() -%}
        {%- if model['state'].reason -%}
            {%- do log(model.name ~ ' is rebuilt in full: ' ~ model['state'].reason, info=true) -%}
        {%- endif -%}
        {%- if model['state'].is_new -%}
            {{ forget_model_state() }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#- Post-hooks of every table. -#}
{% macro forget_model_state() -%}
    {%- if execute and model.config.materialized != 'view' -%}
    delete from ops.model_state
    where kept_for = '' and model_name = '{{ model.name }}'
    {%- endif -%}
{%- endmacro %}

{% macro record_model_state() -%}
    {%- if execute and model.config.materialized != 'view' -%}
    {%- set state = model['state'] -%}
    {%- set covered = 'null' if state.covered_batch is none else state.covered_batch -%}
    insert into ops.model_state (
        schema_name, model_name, covered_batch, generation,
        rebuilt_since, content_hash, build_id, kept_for
    )
    select
        '{{ model.schema }}',
        '{{ model.name }}',
        {{ covered }},
        {{ state.generation }},
        nullif('{{ state.reason }}', ''),
        null,
        {{ build_id() }},
        ''
    {%- endif -%}
{%- endmacro %}

{#- Post-hooks of every seed. -#}
{% macro forget_changed_seed() -%}
    {%- if execute -%}
    delete from ops.model_state
    where
        kept_for = ''
        and model_name = '{{ model.name }}'
        and content_hash is distinct from '{{ seed_hash() }}'
    {%- endif -%}
{%- endmacro %}

{% macro record_changed_seed() -%}
    {%- if execute -%}
    insert into ops.model_state (
        schema_name, model_name, covered_batch, generation,
        rebuilt_since, content_hash, build_id, kept_for
    )
    select
        '{{ model.schema }}',
        '{{ model.name }}',
        null,
        coalesce(max(generation), 0) + 1,
        null,
        '{{ seed_hash() }}',
        {{ build_id() }},
        ''
    from ops.model_state
    having count(case when kept_for = '' and model_name = '{{ model.name }}' then 1 end) = 0
    {%- endif -%}
{%- endmacro %}

{#- dbt's own checksum of a file of more than a mebibyte is its path. -#}
{% macro seed_hash() %}
    {%- if 'content_hash' not in model -%}
        {%- set lines = [] -%}
        {%- for row in load_agate_table().rows -%}
            {%- do lines.append(row.values() | join('|')) -%}
        {%- endfor -%}
        {%- do model.update({'content_hash': local_md5(lines | join('\n'))}) -%}
    {%- endif -%}
    {{- return(model['content_hash']) -}}
{% endmacro %}
