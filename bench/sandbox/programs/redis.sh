# GET and SET with 20 clients at once over loopback; a line of JSON.
set -e
redis-server --save '' --appendonly no --port 6379 --dir /tmp >/tmp/log 2>&1 &
until redis-cli -p 6379 ping >/dev/null 2>&1; do sleep 0.1; done
redis-benchmark -p 6379 -n "$1" -c 20 -t set,get --csv >/tmp/csv
redis-cli -p 6379 shutdown nosave || true
wait
sed -n 's/^"\(SET\|GET\)","\([0-9.]*\)".*/"\1":\2/p' /tmp/csv | { read a; read b; echo "{$a,$b}"; }
