/* Runs a program whose clock of the day differs by as many seconds as a file says, from one look at it to the next; other
 * clocks are left alone. It works on programs that are linked statically: they get no vDSO, so that they have to ask the
 * kernel, and what they ask about the clock of the day is answered here.
 *
 *   shift FILE PROGRAM ARGUMENTS...
 *
 * Ends as the program does, and passes on what it is told to end with. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 50

static const char *file;
static pid_t program;

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
typedef struct user_regs_struct registers;
static unsigned long stack_of(const registers *r) { return r->rsp; }
static unsigned long first(const registers *r) { return r->rdi; }
static unsigned long second(const registers *r) { return r->rsi; }
static void answer(pid_t pid, registers *r) {
  struct iovec all = {r, sizeof *r};
  r->orig_rax = -1;
  r->rax = 0;
  ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &all);
}
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
typedef struct user_regs_struct registers;
static unsigned long stack_of(const registers *r) { return r->sp; }
static unsigned long first(const registers *r) { return r->regs[0]; }
static unsigned long second(const registers *r) { return r->regs[1]; }
static void answer(pid_t pid, registers *r) {
  int none = -1;
  struct iovec call = {&none, sizeof none}, all = {r, sizeof *r};
  ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &call);
  r->regs[0] = 0;
  ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &all);
}
#else
#error "shift.c knows x86-64 and arm64"
#endif

static long shift_seconds(void) {
  static struct timespec looked;
  static long seconds;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  long ms = (now.tv_sec - looked.tv_sec) * 1000 + (now.tv_nsec - looked.tv_nsec) / 1000000;
  if (looked.tv_sec != 0 && ms < LOOK_MS) return seconds;
  looked = now;
  FILE *in = fopen(file, "r");
  if (in == NULL) return seconds;
  long read;
  if (fscanf(in, "%ld", &read) == 1) seconds = read;
  fclose(in);
  return seconds;
}

static registers registers_of(pid_t pid) {
  registers r;
  memset(&r, 0, sizeof r);
  struct iovec all = {&r, sizeof r};
  ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &all);
  return r;
}

/* The program has just begun: its stack holds the arguments, the environment, and then what the kernel tells it. */
static void without_vdso(pid_t pid) {
  registers r = registers_of(pid);
  unsigned long at = stack_of(&r) + sizeof(long);
  for (int lists = 0; lists < 2; at += sizeof(long))
    if (ptrace(PTRACE_PEEKDATA, pid, at, 0) == 0) lists++;
  for (;; at += 2 * sizeof(long)) {
    errno = 0;
    long kind = ptrace(PTRACE_PEEKDATA, pid, at, 0);
    if (errno != 0 || kind == AT_NULL) return;
    if (kind == AT_SYSINFO_EHDR) ptrace(PTRACE_POKEDATA, pid, at, AT_IGNORE);
  }
}

static void tell_time(pid_t pid) {
  registers r = registers_of(pid);
  struct timespec now;
  clock_gettime((clockid_t)first(&r), &now);
  ptrace(PTRACE_POKEDATA, pid, second(&r), now.tv_sec + shift_seconds());
  ptrace(PTRACE_POKEDATA, pid, second(&r) + sizeof(long), now.tv_nsec);
  answer(pid, &r);
}

/* Only what asks for the clock of the day stops. */
static void filter(void) {
  struct sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_gettime, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLOCK_REALTIME, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLOCK_REALTIME_COARSE, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
  };
  struct sock_fprog all = {sizeof rules / sizeof *rules, rules};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all) != 0) {
    perror("shift: no filter");
    _exit(126);
  }
}

static void pass_on(int number) { kill(program, number); }

int main(int count, char **words) {
  if (count < 3) return 2;
  file = words[1];
  program = fork();
  if (program == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    filter();
    execv(words[2], words + 2);
    perror("shift: the program does not start");
    _exit(127);
  }
  int status;
  waitpid(program, &status, 0);
  ptrace(PTRACE_SETOPTIONS, program, 0,
         PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACESECCOMP |
             PTRACE_O_EXITKILL);
  const int ends[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
  for (size_t at = 0; at < sizeof ends / sizeof *ends; at++) signal(ends[at], pass_on);
  ptrace(PTRACE_CONT, program, 0, 0);
  for (;;) {
    pid_t pid = waitpid(-1, &status, __WALL);
    if (pid < 0 && errno == EINTR) continue;
    if (pid < 0) return 1;
    if (pid == program && WIFEXITED(status)) return WEXITSTATUS(status);
    if (pid == program && WIFSIGNALED(status)) {
      signal(WTERMSIG(status), SIG_DFL);
      raise(WTERMSIG(status));
      return 1;
    }
    if (!WIFSTOPPED(status)) continue;
    int event = status >> 16, number = WSTOPSIG(status);
    if (event == PTRACE_EVENT_EXEC) without_vdso(pid);
    if (event == PTRACE_EVENT_SECCOMP) tell_time(pid);
    /* What the tracing itself stops with, and new threads begin with, is not for the program. */
    int passed = event != 0 || number == SIGTRAP || number == SIGSTOP ? 0 : number;
    ptrace(PTRACE_CONT, pid, 0, passed);
  }
}
