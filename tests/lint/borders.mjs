// SPDX-License-Identifier: Apache-2.0
// Borders: a foreign library's header is included only by the files that are its home.
import { C_FILES, files, includes, main, read } from './tree.mjs';

const HOMES = [
  [/^rocksdb\//, /^core\/store\/(index|checkpoint)\.c$/],
  [/^urcu/, /^core\/store\/hot\.c$/],
  [/^xxhash\.h$/, /^core\/base\/hash\.[ch]$/],
  [/^nghttp2\//, /^(core\/http\/http2\.c|tests\/unit\/core\/http\/http2_peer\.h)$/],
  [/^openssl\//, /^(core\/keys\/digest\.c|(tests\/unit\/)?core\/tls\/.*)$/],
  [/^protobuf-c\/|\.pb-c\.h$/, /^proto\/codec(_\w+)?\.[ch]$/],
  [/^keyreeve\.h$/, /^docs\/examples\//],
  [/^uv\.h$/, /^(docs\/examples\/.*|tests\/integration\/etcd_driver\.c|node\/.*|client\/.*|replication\/(\w+_link|acceptor)\.c|tests\/unit\/(client\/libkeyreeve\/test_\w+\.c|replication\/(test_(\w+_link|acceptor)\.c|peers_world\.h)))$/],
  [/^sodium/, /^(core\/base\/(rand|mem)\.c|core\/keys\/(vault|password)\.c)$/],
  [/^jansson\.h$/, /^core\/base\/json\.c$/],
  [/^curl\//, /^(client\/http|node\/outbound|replication\/etcd_link)\.c$/],
  [/^cyaml\//, /^(core\/yaml\/document|node\/config_file|bench\/topology)\.c$/],
  [/^yaml\.h$/, /^(core\/yaml\/document|node\/api\/openapi_json)\.c$/],
  [/^systemd\//, /^node\/notify\.c$/],
  [/^zlib\.h$/, /^core\/keys\/format\.c$/],
  [/^cmocka\.h$/, /^tests\/unit\//],
];

// Headers of C11 and POSIX (and Linux), which have no home.
const SYSTEM = new Set(
  ('arpa/inet.h assert.h ctype.h dirent.h dlfcn.h endian.h errno.h fcntl.h float.h ftw.h getopt.h glob.h grp.h inttypes.h limits.h linux/if_tun.h linux/mman.h linux/sched.h linux/sched/types.h ' +
    'locale.h math.h mntent.h net/if.h netdb.h netinet/in.h netinet/tcp.h poll.h pthread.h pwd.h regex.h sched.h semaphore.h setjmp.h ' +
    'signal.h spawn.h stdalign.h stdarg.h stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h ' +
    'string.h strings.h sys/epoll.h sys/eventfd.h sys/file.h sys/ioctl.h sys/mman.h sys/pidfd.h sys/prctl.h sys/random.h sys/resource.h sys/sendfile.h sys/signalfd.h sys/socket.h ' +
    'sys/stat.h sys/statvfs.h sys/syscall.h sys/time.h sys/types.h sys/uio.h sys/un.h sys/utsname.h sys/wait.h termios.h time.h ' +
    'unistd.h wchar.h immintrin.h').split(' '),
);

function checkInclude(path, { line, path: included, isForeign }) {
  const row = HOMES.find(([header]) => header.test(included));
  if (row) return row[1].test(path) ? null : `${path}:${line}: <${included}> is not at home here`;
  if (!isForeign || SYSTEM.has(included)) return null;
  return `${path}:${line}: <${included}> has no home; give it one in tests/lint/borders.mjs`;
}

export function check(root) {
  const problems = [];
  for (const path of files(root, C_FILES))
    for (const one of includes(read(root, path))) {
      const problem = checkInclude(path, one);
      if (problem) problems.push(problem);
    }
  return { problems };
}

main(import.meta.url, check);
