#!/bin/sh
# Runs a command, and again whenever something kills it. A command that ends by itself is left alone: it has said why.
#   supervise.sh COMMAND [ARGUMENT …]
# SIGTERM goes on to the command and ends both. SUPERVISE_SIGNAL tells a command that is started again what killed the one before.
set -u

stopping=
child=
trap 'stopping=1; [ -n "$child" ] && kill -TERM "$child" 2>/dev/null' TERM INT HUP

# Seconds before the next try: longer each time that the command dies young.
delay=1
while :; do
  began=$(date +%s)
  "$@" &
  child=$!
  # A signal that is trapped ends `wait` early.
  while :; do
    wait "$child"
    code=$?
    kill -0 "$child" 2>/dev/null || break
  done
  # 128 and more: killed by a signal.
  if [ -n "$stopping" ] || [ "$code" -le 128 ]; then
    exit "$code"
  fi
  [ $(($(date +%s) - began)) -lt 10 ] || delay=1
  echo "supervise: $1 was killed by signal $((code - 128)); starting it again in $delay s" >&2
  export SUPERVISE_SIGNAL=$((code - 128))
  sleep "$delay"
  [ -z "$stopping" ] || exit "$code"
  [ "$delay" -ge 8 ] || delay=$((delay * 2))
done
