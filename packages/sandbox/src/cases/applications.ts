/** A shell script whose output says whether its programs work, the same on every kernel. */
export interface Application {
  readonly name: string
  /** Programs without which there is nothing to run. */
  readonly needs: readonly string[]
  /** Runs once, without a sandbox, in the parent of the folders of `script`. */
  readonly prepare?: string
  /** Runs in an empty folder. */
  readonly script: string
}

const SQLITE = `
import sqlite3, subprocess, threading
with sqlite3.connect("t.db") as db:
    db.execute("pragma journal_mode = wal")
    db.execute("create table t (a integer)")
    db.executemany("insert into t values (?)", [(i,) for i in range(1000)])
print(sqlite3.connect("t.db").execute("select count(*), sum(a) from t").fetchone())
`
const PYTHON = `
import concurrent.futures, hashlib, multiprocessing, os, signal, subprocess, tempfile, threading
print(subprocess.run(["sh", "-c", "echo out; echo err >&2; exit 3"], capture_output=True))
total, lock = [0], threading.Lock()
def add():
    for _ in range(1000):
        with lock: total[0] += 1
threads = [threading.Thread(target=add) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
print(total)
def square(x): return x * x
with multiprocessing.get_context("fork").Pool(4) as pool: print(pool.map(square, range(10)))
with tempfile.NamedTemporaryFile() as f:
    f.write(b"x" * 100000); f.flush()
    print(os.stat(f.name).st_size, hashlib.sha256(open(f.name, "rb").read()).hexdigest())
signal.signal(signal.SIGALRM, lambda *_: print("alarm"))
signal.setitimer(signal.ITIMER_REAL, 0.05); signal.pause()
`
const C = `
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static void *work(void *given) { return (void *)((long)given * 2); }
int main(void) {
  pthread_t thread;
  void *result;
  pthread_create(&thread, 0, work, (void *)21);
  pthread_join(thread, &result);
  if (fork() == 0) _exit(7);
  int status;
  wait(&status);
  printf("hello %ld %d\\n", (long)result, WEXITSTATUS(status));
}
`
const JAVA = `
import java.net.NetworkInterface;
public class A {
  public static void main(String[] words) throws Exception {
    Thread thread = new Thread(() -> System.out.println("thread"));
    thread.start();
    thread.join();
    System.out.println(NetworkInterface.getByName("lo").isLoopback());
    System.out.println(new ProcessBuilder("echo", "child").inheritIO().start().waitFor());
  }
}
`
const MUSL = `
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
extern char **environ;
static __thread int own = 3;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ready = PTHREAD_COND_INITIALIZER;
static int told;
static void *work(void *given) {
  own += (int)(long)given;
  pthread_mutex_lock(&mutex);
  told += own;
  pthread_cond_signal(&ready);
  pthread_mutex_unlock(&mutex);
  return 0;
}
static void rang(union sigval value) { work((void *)(long)value.sival_int); }
int main(int count, char **words) {
  if (count > 1) return printf("child %s\\n", words[1]), fflush(stdout), 7;
  pthread_t threads[4];
  for (long i = 0; i < 4; i++) pthread_create(&threads[i], 0, work, (void *)i);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
  struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = rang, .sigev_value.sival_int = 10};
  timer_t timer;
  struct itimerspec soon = {.it_value.tv_nsec = 1000000};
  timer_create(CLOCK_MONOTONIC, &event, &timer);
  timer_settime(timer, 0, &soon, 0);
  pthread_mutex_lock(&mutex);
  while (told < 31) pthread_cond_wait(&ready, &mutex);
  printf("told %d own %d\\n", told, own);
  void *library = dlopen("/lib/libb.so", RTLD_NOW);
  int (*twice)(int) = (int (*)(int))dlsym(library, "twice");
  printf("twice %d\\n", twice(21));
  pid_t pid;
  fflush(stdout);
  int status = posix_spawn(&pid, words[0], 0, 0, (char *[]){words[0], "spawned", 0}, environ);
  printf("spawn %d\\n", status);
  waitpid(pid, &status, 0);
  printf("ended %d\\n", WEXITSTATUS(status));
  char *text = strdup("none");
  setenv("NAME", "value", 1);
  printf("%s %s %s\\n", text, getenv("NAME"), dlopen("/lib/none.so", RTLD_NOW) ? "loaded" : "not loaded");
  free(text);
}
`
const MUSL_LIBRARY = 'static __thread int calls; int twice(int n) { return calls++, 2 * n; }'
const GO = `
package main
import ("fmt"; "io"; "net"; "os/exec"; "sync"; "time")
func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil { panic(err) }
	go func() {
		for { connection, err := listener.Accept(); if err != nil { return }; go func() { io.Copy(connection, connection); connection.Close() }() }
	}()
	var group sync.WaitGroup
	answers := make([]string, 20)
	for i := range answers {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			connection, err := net.Dial("tcp", listener.Addr().String())
			if err != nil { panic(err) }
			fmt.Fprint(connection, "hello ", i)
			connection.(*net.TCPConn).CloseWrite()
			body, _ := io.ReadAll(connection)
			answers[i] = string(body)
		}(i)
	}
	group.Wait()
	time.Sleep(20 * time.Millisecond)
	out, err := exec.Command("sh", "-c", "echo from sh").CombinedOutput()
	fmt.Println(answers, string(out), err)
}
`
const NODE = `
const http = require('node:http'), fs = require('node:fs'), { Worker } = require('node:worker_threads'), { spawnSync } = require('node:child_process')
fs.writeFileSync('big', Buffer.alloc(300000, 'x'))
const server = http.createServer((request, response) => fs.createReadStream('big').pipe(response)).listen(0, '127.0.0.1', async () => {
  const url = 'http://127.0.0.1:' + server.address().port
  const sizes = await Promise.all(Array.from({ length: 10 }, async () => (await (await fetch(url)).text()).length))
  console.log(sizes.join(' '))
  server.close()
  server.closeAllConnections()
  console.log(spawnSync('sh', ['-c', 'echo $0; exit 4'], { encoding: 'utf8' }).status)
  new Worker('require("node:worker_threads").parentPort.postMessage(6 * 7)', { eval: true }).on('message', (m) => console.log(m))
})
`
const NGINX = `worker_processes 2; pid $PWD/pid; error_log $PWD/err; daemon on; user root;
events {} http { access_log off; client_body_temp_path $PWD/body; proxy_temp_path $PWD/proxy; fastcgi_temp_path $PWD/f; uwsgi_temp_path $PWD/u; scgi_temp_path $PWD/s;
server { listen 127.0.0.1:18088; location / { root $PWD/www; } } }`

/** Gives a script's program a file of its own, unexpanded. */
function here(file: string, text: string): string {
  return `cat > ${file} <<'END_OF_FILE'\n${text}\nEND_OF_FILE\n`
}

/** Programs that people run in containers, and small ones by the dozen. */
export const APPLICATIONS: readonly Application[] = [
  {
    name: 'a shell with pipelines, jobs and traps',
    needs: ['sh', 'seq', 'sort', 'awk', 'xargs'],
    script: `seq 1 2000 | sort -rn | awk '{ s += $1 } END { print NR, s }'
      yes | head -n 3; sh -c 'trap "echo told; exit 5" TERM; kill -TERM $$; exit 6'; echo $?
      sleep 5 & kill $!; wait $! 2>/dev/null; echo $?
      mkfifo f; (echo through > f) & cat f; wait
      seq 1 20 | xargs -n 5 -P 4 echo | sort; umask 027; touch u; stat -c '%a %s' u; ls -la /etc | wc -l | grep -c .`,
  },
  {
    name: 'git',
    needs: ['git'],
    script: `export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
      export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
      git init -q -b main r && cd r && seq 1 500 > f && git add f && git commit -qm one
      git checkout -q -b other && echo more >> f && git commit -qam two && git checkout -q main && git merge -q other
      git log --format='%H %s'; git gc -q && git fsck && cd .. && git clone -q r s && git -C s log --oneline | wc -l`,
  },
  {
    name: 'tar and compression',
    needs: ['tar', 'gzip', 'xz'],
    script: `mkdir -p d/e; seq 1 5000 > d/a; ln -s a d/l; ln d/a d/h; chmod 4751 d/e; touch -d 2020-01-01 d/*
      tar --sort=name --mtime=2020-01-01 --owner=0 --group=0 -czf t.gz d && tar -xzf t.gz --one-top-level=x
      diff -r d x/d && stat -c '%n %a %h %F' x/d/*; xz -T2 -k d/h 2>&1; xz -dc d/h.xz | cksum`,
  },
  {
    name: 'Python: subprocesses, threads, processes, signals',
    needs: ['python3'],
    script: `${here('p.py', PYTHON)}python3 p.py`,
  },
  { name: 'Python with SQLite in WAL mode', needs: ['python3'], script: `${here('p.py', SQLITE)}python3 p.py` },
  {
    name: 'sqlite3',
    needs: ['sqlite3'],
    script: `sqlite3 t.db 'create table t(a); insert into t values(1),(2); select sum(a) from t; pragma integrity_check;'`,
  },
  {
    name: 'perl',
    needs: ['perl'],
    script: `perl -e '$| = 1; symlink("a", "b"); mkdir "c"; rename "c", "d"; print join(",", map { lstat($_) ? 1 : 0 } qw(b c d)), "\\n";
      for (1 .. 3) { if (!fork) { exit $_ } } while ((my $p = wait) > 0) { push @s, $? >> 8 } print "@{[sort @s]}\\n"; print qx(echo sub | tr a-z A-Z)'`,
  },
  {
    name: 'gcc and what it makes',
    needs: ['gcc'],
    script: `${here('a.c', C)}gcc -O1 -pthread -o a a.c && ./a && gcc -static -pthread -o b a.c && ./b`,
  },
  {
    name: 'a root of musl, as Alpine has it, with its loader',
    needs: ['musl-gcc'],
    script: `${here('a.c', MUSL)}${here('b.c', MUSL_LIBRARY)}mkdir -p root/lib root/bin
      musl-gcc -O1 -o root/bin/a a.c && musl-gcc -shared -fPIC -o root/lib/libb.so b.c && cp -L /lib/ld-musl-x86_64.so.1 root/lib
      chroot root /bin/a; echo $?; chroot root /lib/ld-musl-x86_64.so.1 /bin/a argument; echo $?`,
  },
  { name: 'node: HTTP, workers, children', needs: ['node'], script: `${here('a.js', NODE)}node a.js` },
  {
    name: 'Java: threads, interfaces, children',
    needs: ['java', 'javac'],
    script: `${here('A.java', JAVA)}java A.java`,
  },
  {
    name: 'PostgreSQL',
    needs: ['initdb', 'pg_ctl', 'psql', 'setpriv'],
    script: `as() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
      mkdir d; chown 65534:65534 d; chmod 711 .. .; as initdb -D $PWD/d -A trust > log || cat log
      as pg_ctl -D $PWD/d -o "-k $PWD/d -h 127.0.0.1 -p 15432" -l $PWD/d/log -w start | tail -n 1
      psql -h $PWD/d -p 15432 -U nobody postgres -c 'create table t as select generate_series(1, 1000) a' -c 'select sum(a) from t'
      as pg_ctl -D $PWD/d -m fast stop | tail -n 1`,
  },
  {
    name: 'redis',
    needs: ['redis-server', 'redis-cli'],
    script: `redis-server --port 17777 --save '' --appendonly yes --dir "$PWD" > log 2>&1 &
      for i in $(seq 1 100); do redis-cli -p 17777 ping 2>/dev/null | grep -q PONG && break; sleep 0.1; done
      redis-cli -p 17777 set a 5; redis-cli -p 17777 incr a; seq 1 200 | sed 's/.*/lpush l &/' | redis-cli -p 17777 | tail -1
      redis-cli -p 17777 eval 'return redis.call("llen", "l")' 0; redis-cli -p 17777 bgrewriteaof; redis-cli -p 17777 shutdown nosave; wait; echo $?`,
  },
  {
    name: 'nginx and curl',
    needs: ['nginx', 'curl'],
    script: `mkdir www; seq 1 50000 > www/big; echo hello > www/index.html; chmod 755 . www
      cat > c <<END_OF_FILE\n${NGINX}\nEND_OF_FILE
      nginx -c $PWD/c && curl -sS --retry 20 --retry-connrefused --retry-delay 1 http://127.0.0.1:18088/; curl -sS http://127.0.0.1:18088/big | cksum
      curl -sS -o /dev/null -w '%{http_code}\\n' http://127.0.0.1:18088/none; curl -sS -r 5-9 http://127.0.0.1:18088/big
      nginx -c $PWD/c -s stop 2>/dev/null; grep -c '\\[error\\] .*open() .*www/none' err`,
  },
  {
    name: 'a static Go program',
    needs: ['go'],
    prepare: `${here('a.go', GO)}CGO_ENABLED=0 go build -o a a.go`,
    script: '../a',
  },
]
