#include "server/plugin_child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace penstock::server {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t max_report_bytes = 16u << 20;  // a schema is the plugin's text
constexpr std::chrono::milliseconds time_to_start{60'000};

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }
  void close() {
    if (number_ >= 0) ::close(number_);
    number_ = -1;
  }

 private:
  int number_;
};

// Between fork and exec: a group of its own, so that what it starts can be ended with it; no core dump; its
// end when ours comes first.
[[noreturn]] void become(const std::vector<std::string>& words, int output) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execv("/proc/self/exe", arguments.data());
  ::_exit(127);
}

int left_ms(Clock::time_point until) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  return left <= 0 ? 0 : left > 1'000'000 ? 1'000'000 : static_cast<int>(left);
}

// What is there now. False: the other side has closed.
bool take(int pipe, std::string& said) {
  std::array<char, 16384> buffer;
  for (;;) {
    const ssize_t n = ::read(pipe, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    if (n == 0) return false;
    said.append(buffer.data(), static_cast<size_t>(n));
    if (said.size() > max_report_bytes) return false;
  }
}

enum class End { by_itself, late, talks_too_much };

// Each step has its time, counted from the moment in which the child says that it begins. What comes before
// the first one is ours, on a machine that may be busy. A process that the plugin left behind may keep the
// pipe open, so the child's own end counts.
End listen(int pipe, int process, std::chrono::milliseconds patience, std::string& said) {
  auto until = Clock::now() + std::max(patience, time_to_start);
  std::array<pollfd, 2> watched{pollfd{process, POLLIN, 0}, pollfd{pipe, POLLIN, 0}};
  for (;;) {
    const int ready = ::poll(watched.data(), watched.size(), left_ms(until));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0 && left_ms(until) == 0) return End::late;
    if (watched[1].revents != 0) {
      if (!take(pipe, said)) watched[1].fd = -1;
      until = Clock::now() + patience;
    }
    if (said.size() > max_report_bytes) return End::talks_too_much;
    // No descriptor of a process here (an old kernel, a strict sandbox): the end of its words is its end.
    if (watched[0].fd < 0 && watched[1].fd < 0) return End::by_itself;
    if (watched[0].revents != 0) {
      take(pipe, said);
      return End::by_itself;
    }
  }
}

struct Said {
  std::string step = "before it was loaded";
  bool whole = false;
  std::string report;
};

Said parse(std::string_view text) {
  Said said;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    if (line.starts_with(child_step)) said.step = line.substr(child_step.size());
    if (line == child_report) {
      said.whole = true;
      said.report = text;
      break;
    }
  }
  return said;
}

std::string text_of(std::chrono::milliseconds time) {
  return time.count() % 1000 == 0 ? fmt::format("{}s", time.count() / 1000)
                                  : fmt::format("{}ms", time.count());
}

// Empty: all is well.
std::string problem_of(End end, int status, const Said& said, std::chrono::milliseconds patience) {
  if (end == End::late)
    return fmt::format("took longer than {} {} (--timeout gives it more)", text_of(patience), said.step);
  if (end == End::talks_too_much) return "describes itself with more than 16 MiB";
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    const char* name = ::sigabbrev_np(number);
    return fmt::format("crashed with SIG{} ({}) {}", name != nullptr ? name : "?", ::strsignal(number),
                       said.step);
  }
  if (!said.whole)
    return fmt::format("ended the process with exit code {} {}", WEXITSTATUS(status), said.step);
  return {};
}

}  // namespace

ChildReport run_child(const std::vector<std::string>& words, std::chrono::milliseconds patience) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {"cannot be checked: no pipe", {}, 0};
  Descriptor reading(ends[0]), writing(ends[1]);
  ::fcntl(reading.number(), F_SETFL, O_NONBLOCK);
  const pid_t child = ::fork();
  if (child == 0) become(words, writing.number());
  writing.close();
  if (child < 0) return {"cannot be checked: no process", {}, 0};
  ::setpgid(child, child);  // whoever of us comes first
  // The C library's function of that name is not C++'s in Debian 12.
  const Descriptor process(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));

  std::string text;
  const End end = listen(reading.number(), process.number(), patience, text);
  ::kill(-child, SIGKILL);  // also what it started and left behind; the group lives until it is waited for
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  Said said = parse(text);
  return {problem_of(end, status, said, patience), std::move(said.report),
          WIFEXITED(status) ? WEXITSTATUS(status) : 0};
}

}  // namespace penstock::server
