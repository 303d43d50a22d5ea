#include "e2e/harness/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "e2e/harness/temp_folder.h"
#include "e2e/harness/waiting.h"

namespace e2e {
namespace {

int status_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

[[noreturn]] void become(const std::vector<std::string>& command,
                         const std::map<std::string, std::string>& environment) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  ::execvp(words[0], words.data());
  ::_exit(127);
}

}  // namespace

Process::Process(std::vector<std::string> command, Read what,
                 std::map<std::string, std::string> environment) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw Failure("no pipe");
  pid_ = ::fork();
  if (pid_ == 0) {
    ::dup2(ends[1], what == Read::standard_output ? STDOUT_FILENO : STDERR_FILENO);
    become(command, environment);
  }
  ::close(ends[1]);
  descriptor_ = ends[0];
  if (pid_ < 0) throw Failure("no process for " + command[0]);
}

Process::~Process() {
  if (exit_code_ < 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::close(descriptor_);
}

bool Process::read_more(int timeout_ms) {
  pollfd ready{descriptor_, POLLIN, 0};
  if (::poll(&ready, 1, timeout_ms) <= 0) return false;
  std::array<char, 4096> buffer;
  ssize_t got = ::read(descriptor_, buffer.data(), buffer.size());
  if (got <= 0) return false;
  output_.append(buffer.data(), static_cast<size_t>(got));
  return true;
}

std::string Process::wait_for_line(const std::string& text) {
  auto until = Clock::now() + patience;
  for (;;) {
    for (size_t end; (end = output_.find('\n', seen_)) != std::string::npos;) {
      std::string line = output_.substr(seen_, end - seen_);
      seen_ = end + 1;
      if (line.find(text) != std::string::npos) return line;
    }
    if (!read_more(left_ms(until))) throw Failure("no line with '" + text + "' came; there was:\n" + output_);
  }
}

void Process::poll_output() {
  while (read_more(0)) {}
}

void Process::signal(int number) const { ::kill(pid_, number); }

void Process::pause() {
  signal(SIGSTOP);
  int status = 0;
  if (::waitpid(pid_, &status, WUNTRACED) == pid_ && WIFSTOPPED(status)) return;
  exit_code_ = status_code(status);
  throw Failure("the process ended instead of standing still; it said:\n" + output_);
}

void Process::resume() const { signal(SIGCONT); }

bool Process::running() {
  if (exit_code_ >= 0) return false;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == pid_) exit_code_ = status_code(status);
  return exit_code_ < 0;
}

int Process::wait() {
  if (exit_code_ >= 0) return exit_code_;
  auto until = Clock::now() + patience;
  while (read_more(left_ms(until))) {}
  if (left_ms(until) == 0) throw Failure("the process did not end; it said:\n" + output_);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  return exit_code_ = status_code(status);
}

Ran run(const std::vector<std::string>& command) {
  TempFolder folder;
  std::string errors = folder.file("stderr");
  // The shell only redirects: words are passed on as they are.
  std::vector<std::string> words{"/bin/sh", "-c", "exec \"$@\" 2>\"$0\"", errors};
  words.insert(words.end(), command.begin(), command.end());
  Process process(words, Process::Read::standard_output);
  int code = process.wait();
  return {code, process.output(), folder.read("stderr")};
}

}  // namespace e2e
