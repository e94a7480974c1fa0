#!/usr/bin/env bash
# Start the broker in a container: the same settings as the local stack (broker.properties), addresses and
# credentials from the environment. Secrets go into files that only this user may read, never into arguments.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
data="${KAFKA_DATA_DIR:-/var/lib/kafka/data}"
run="${KAFKA_RUN_DIR:-/tmp/kafka}"
jars="${KAFKA_JARS:-/opt/kafka/libs}"
bind="${KAFKA_BIND:-0.0.0.0}"
internal_host="${KAFKA_INTERNAL_HOST:-kafka}"
internal_port="${KAFKA_INTERNAL_PORT:-29092}"
admin="${KAFKA_ADMIN_USERNAME:-admin}"

umask 077
mkdir -p "$run"

password_of() {
  local variable="KAFKA_$1_PASSWORD"
  local value="${!variable:?is not set: run make setup}"
  if [[ "$value" == *[\"\\,\[\]]* ]]; then
    echo "$variable must not hold quotes, backslashes, commas or brackets" >&2
    exit 1
  fi
  printf '%s' "$value"
}

admin_password="$(password_of ADMIN)"
login="org.apache.kafka.common.security"

write_config() {
  cat "$here/broker.properties"
  cat <<PROPERTIES
log.dirs=$1
listeners=CLIENT://$bind:${KAFKA_PORT:?},INTERNAL://$bind:$internal_port,CONTROLLER://127.0.0.1:${KAFKA_CONTROLLER_PORT:?}
advertised.listeners=CLIENT://127.0.0.1:$KAFKA_PORT,INTERNAL://$internal_host:$internal_port,CONTROLLER://127.0.0.1:$KAFKA_CONTROLLER_PORT
listener.security.protocol.map=CLIENT:SASL_PLAINTEXT,INTERNAL:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
listener.name.internal.sasl.enabled.mechanisms=SCRAM-SHA-512
controller.quorum.bootstrap.servers=127.0.0.1:$KAFKA_CONTROLLER_PORT
super.users=User:$admin
listener.name.client.scram-sha-512.sasl.jaas.config=$login.scram.ScramLoginModule required username="$admin" password="$admin_password";
listener.name.internal.scram-sha-512.sasl.jaas.config=$login.scram.ScramLoginModule required username="$admin" password="$admin_password";
listener.name.controller.plain.sasl.jaas.config=$login.plain.PlainLoginModule required username="$admin" password="$admin_password" user_$admin="$admin_password";
PROPERTIES
}

write_format_arguments() {
  local role user password
  printf '%s\n' -cp "\"$jars/*\"" kafka.tools.StorageTool format --standalone --ignore-formatted
  printf '%s\n' --cluster-id "$(java -cp "$jars/*" kafka.tools.StorageTool random-uuid | tail -n 1)"
  printf '%s\n' --config "\"$run/server.properties\""
  for role in ADMIN PRODUCER LANDER STREAM AUDITOR REDRIVER; do
    user="KAFKA_${role}_USERNAME"
    password="$(password_of "$role")"
    printf '%s\n' --add-scram "\"SCRAM-SHA-512=[name=${!user:-${role,,}},password=$password]\""
  done
}

write_config "$data" > "$run/server.properties"
if [[ ! -e "$data/meta.properties" ]]; then
  write_format_arguments > "$run/format.args"
  java "@$run/format.args"
  rm "$run/format.args"
fi
exec java -Xms256m -Xmx512m -Djava.awt.headless=true -cp "$jars/*" kafka.Kafka "$run/server.properties"
