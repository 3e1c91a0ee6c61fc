#!/usr/bin/env bash
# Starts and stops one Apache Kafka node for the broker tests, from the jars that Maven fetches; needs no container.
# It is a test double with a real broker's behaviour: no replication, no authentication, data gone at `stop`.
#
#   tests/support/kafka.sh start    prints KEYTRAIL_TEST_KAFKA=127.0.0.1:PORT and nothing else on stdout
#   tests/support/kafka.sh env      prints the same line again while the broker runs
#   tests/support/kafka.sh kill     ends the broker at once, nothing tidied up; its data stay
#   tests/support/kafka.sh resume   starts a broker that was killed on the data that are left; prints as start does
#   tests/support/kafka.sh stop     stops the broker and removes its data; fine when none runs
#
#   KEYTRAIL_KAFKA_DIR      where the broker keeps its data, log and pid (default: target/kafka)
#   KEYTRAIL_KAFKA_CACHE    where the jars are kept between runs
#
# Exit codes are Keytrail's own: 0 done, 2 usage, 4 not available.
set -euo pipefail

readonly VERSION=4.1.0
# The version of slf4j-api that this Kafka brings along.
readonly SLF4J=1.7.36
readonly START_SECONDS=60
readonly STOP_SECONDS=20

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# A caller's relative path means the caller's folder, so it is made absolute before anything changes folder.
state=$(realpath -m -- "${KEYTRAIL_KAFKA_DIR:-$root/target/kafka}")
cache=$(realpath -m -- "${KEYTRAIL_KAFKA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/keytrail/kafka-$VERSION}")
readonly root state cache

say() { printf 'kafka.sh: %s\n' "$*" >&2; }

unavailable() {
    say "$@"
    exit 4
}

need() {
    command -v "$1" >/dev/null || unavailable "$1 is not installed; the broker needs java 17 or later, its jars need mvn"
}

# The pid of our broker, or nothing. A pid alone proves nothing after a reboot: the number may be another process's
# now, so the command line must name our own properties file.
running_pid() {
    local pid
    [[ -f $state/pid ]] || return 0
    pid=$(<"$state/pid")
    if ps -p "$pid" -o args= 2>/dev/null | grep -qF -- "$state/server.properties"; then
        printf '%s' "$pid"
    fi
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A port below the range that the system hands to outgoing connections, so that none of those takes it meanwhile.
free_port() {
    local port
    for _ in {1..50}; do
        port=$((20000 + RANDOM % 12000))
        if [[ $port != "${1:-}" ]] && ! listening "$port"; then
            printf '%s' "$port"
            return 0
        fi
    done
    unavailable "no free port found between 20000 and 31999"
}

# The cache appears under its name only when complete: an interrupted download is fetched again, never half used.
fetch_jars() {
    [[ -d $cache/libs ]] && return 0
    need mvn
    say "fetching Apache Kafka $VERSION into $cache"
    local fresh
    mkdir -p "$(dirname "$cache")"
    fresh=$(mktemp -d "$cache.XXXXXX")
    cat >"$fresh/pom.xml" <<POM
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>keytrail</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>$VERSION</version>
    </dependency>
    <!-- Without a logger the broker dies silently; this one writes to stderr, that is into broker.log. -->
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>$SLF4J</version>
    </dependency>
  </dependencies>
</project>
POM
    if ! mvn -q -B -Dstyle.color=never -f "$fresh/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
        -DoutputDirectory="$fresh/libs" >&2; then
        rm -rf -- "$fresh"
        unavailable "mvn could not fetch the jars (its message is above)"
    fi
    # Another start may have finished first; its copy is as good as ours.
    if ! mv -T -- "$fresh" "$cache" 2>/dev/null; then
        rm -rf -- "$fresh"
        [[ -d $cache/libs ]] || unavailable "$cache is in the way: it holds no jars and could not be replaced"
    fi
}

write_properties() {
    local port=$1 controller=$2
    cat >"$state/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$controller
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$state/data
num.partitions=3
# A misspelt topic in a test must fail, not come into being.
auto.create.topics.enable=false
# The largest message that Keytrail accepts, so that tests reach its limit and not the broker's.
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
PROPERTIES
}

# 16 random bytes as Kafka writes them; a leading minus would look like an option.
cluster_id() { head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n' | sed 's/^-/A/'; }

remove_state() {
    rm -rf -- "$state/data"
    rm -f -- "$state/server.properties" "$state/pid" "$state/port" "$state/broker.log"
    if [[ -d $state ]]; then rmdir --ignore-fail-on-non-empty -- "$state"; fi
}

# Waits until the broker listens. Fails early when the process is gone, which is how a port taken meanwhile shows.
await_broker() {
    local pid=$1 port=$2 deadline=$((SECONDS + START_SECONDS))
    while ((SECONDS < deadline)); do
        kill -0 "$pid" 2>/dev/null || return 1
        listening "$port" && return 0
        sleep 0.1
    done
    return 1
}

# One attempt on fresh ports and an empty data folder. Bash ignores `set -e` inside a function that an `if` calls, so
# each step that can fail says what then.
try_start() {
    local port controller
    port=$(free_port) || exit 4
    controller=$(free_port "$port") || exit 4
    remove_state
    mkdir -p "$state" || unavailable "cannot create $state"
    write_properties "$port" "$controller" || unavailable "cannot write into $state"
    java -cp "$cache/libs/*" kafka.tools.StorageTool format -t "$(cluster_id)" \
        -c "$state/server.properties" --standalone >"$state/broker.log" 2>&1 || return 1
    printf '%s\n' "$port" >"$state/port"
    launch
}

# Starts the broker that the state folder describes.
launch() {
    local pid
    nohup java -Xms256m -Xmx512m -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$cache/libs/*" kafka.Kafka "$state/server.properties" \
        >>"$state/broker.log" 2>&1 </dev/null &
    pid=$!
    printf '%s\n' "$pid" >"$state/pid"
    await_broker "$pid" "$(<"$state/port")"
}

print_env() { printf 'KEYTRAIL_TEST_KAFKA=127.0.0.1:%s\n' "$(<"$state/port")"; }

start() {
    if [[ -n $(running_pid) ]]; then
        say "already running"
        print_env
        return 0
    fi
    need java
    fetch_jars
    # A free port can be taken between the look and the bind; twice in a row means something else is wrong.
    for attempt in 1 2; do
        if try_start; then
            say "listening after $SECONDS s"
            print_env
            return 0
        fi
        say "attempt $attempt failed; the broker's last words:"
        tail -n 20 "$state/broker.log" >&2 || true
        end_process
    done
    remove_state
    unavailable "the broker did not start"
}

end_process() {
    local pid deadline
    pid=$(running_pid)
    [[ -n $pid ]] || return 0
    kill "$pid" 2>/dev/null || true
    deadline=$((SECONDS + STOP_SECONDS))
    while kill -0 "$pid" 2>/dev/null; do
        if ((SECONDS >= deadline)); then
            say "no answer to the request to stop; ending process $pid"
            kill -9 "$pid" 2>/dev/null || true
            return 0
        fi
        sleep 0.1
    done
}

kill_hard() {
    local pid
    pid=$(running_pid)
    [[ -n $pid ]] || unavailable "no broker runs"
    kill -9 "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
}

resume() {
    [[ -f $state/server.properties && -z $(running_pid) ]] || unavailable "no broker was killed here"
    if ! launch; then
        tail -n 20 "$state/broker.log" >&2 || true
        unavailable "the broker did not start again"
    fi
    print_env
}

stop() {
    end_process
    remove_state
}

case "${1:-}" in
    start) start ;;
    stop) stop ;;
    kill) kill_hard ;;
    resume) resume ;;
    env)
        [[ -n $(running_pid) ]] || unavailable "no broker runs; start one with: tests/support/kafka.sh start"
        print_env
        ;;
    *)
        say "usage: tests/support/kafka.sh start|env|kill|resume|stop"
        exit 2
        ;;
esac
