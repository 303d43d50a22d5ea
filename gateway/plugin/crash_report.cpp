#include "plugin/crash_report.h"

#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "plugin/handles.h"
#include "plugin/plugin_code.h"
#include "proxy/route.h"

namespace penstock::plugin {
namespace {

constexpr size_t stack_bytes = 64 * 1024;

struct Fatal {
  int number;
  std::string_view name;
};
constexpr std::array<Fatal, 5> fatal{
    {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGILL, "SIGILL"}, {SIGFPE, "SIGFPE"}, {SIGABRT, "SIGABRT"}}};
// What stood there before us: a sanitizer's, or the default. Written before any handler can run.
std::array<struct sigaction, fatal.size()> before;

// One line of bounded length. Names come from the configuration: whole, they fit.
class Line {
 public:
  Line& operator<<(std::string_view text) {
    const size_t fits = std::min(text.size(), text_.size() - 1 - size_);
    std::memcpy(text_.data() + size_, text.data(), fits);
    size_ += fits;
    return *this;
  }
  Line& number(uint64_t value, unsigned base = 10) {
    std::array<char, 20> digits;
    size_t at = digits.size();
    do digits[--at] = "0123456789abcdef"[value % base];
    while ((value /= base) != 0);
    return *this << std::string_view(digits.data() + at, digits.size() - at);
  }
  void write() {
    text_[size_++] = '\n';
    for (size_t at = 0; at < size_;) {
      const ssize_t wrote = ::write(STDERR_FILENO, text_.data() + at, size_ - at);
      if (wrote <= 0) return;  // nobody is there to hear it
      at += static_cast<size_t>(wrote);
    }
  }

 private:
  std::array<char, 1024> text_;
  size_t size_ = 0;
};

uintptr_t instruction(const void* context) {
  const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return static_cast<uintptr_t>(machine.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return static_cast<uintptr_t>(machine.pc);
#else
  (void)machine;
  return 0;
#endif
}

void write_thread(Line& line) {
  if (running_code.worker != RunningCode::no_worker)
    (line << "worker ").number(running_code.worker);
  else if (running_code.ours)
    line << "the main thread";
  else
    line << "a thread that is no worker and not the main one (a plugin's, or one of the thread pool)";
}

void write_code(Line& line, const PluginCode& code) {
  line << " ran " << name(code.kind) << " of ";
  if (const gw_instance* instance = code.owner->instance; instance != nullptr)
    line << "plugin '" << instance->name << "' (" << instance->type << ", " << code.owner->file << ")";
  else
    line << code.owner->file;
  // The thread's own frame: the hook has not returned.
  const gw_req* request = running_code.request.load(std::memory_order_relaxed);
  if (request == nullptr) return;
  if (const proxy::Route* route = request->context.route; route != nullptr)
    line << ", route '" << route->name << "'";
  line << ", request " << request->context.request_id;
}

void write_report(int number, const siginfo_t& info, const void* context) {
  Line line;
  line << "penstock: fatal signal ";
  for (const Fatal& one : fatal)
    if (one.number == number) line << one.name;
  const bool fault = number != SIGABRT && info.si_code > 0;
  if (fault) (line << " (address 0x").number(reinterpret_cast<uintptr_t>(info.si_addr), 16) << ")";
  line << ": ";
  write_thread(line);
  const PluginCode* code = running_code.code.load(std::memory_order_relaxed);
  if (code != nullptr)
    write_code(line, *code);
  else
    line << " ran no plugin's hook";
  if (const std::string_view file = LoadedCode::file_at(instruction(context)); !file.empty())
    line << "; the instruction is in " << file;
  line.write();
}

// A fault comes again when the instruction does, now to whoever was there before: the default action, whose
// core shows the place, or a sanitizer's report. What was sent to us has to be sent once more.
void on_fatal(int number, siginfo_t* info, void* context) {
  for (size_t i = 0; i < fatal.size(); ++i)
    if (fatal[i].number == number) ::sigaction(number, &before[i], nullptr);
  write_report(number, *info, context);
  if (info->si_code <= 0) ::raise(number);
}

}  // namespace

void report_crashes() {
  struct sigaction ours{};
  ours.sa_sigaction = &on_fatal;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&ours.sa_mask);
  for (size_t i = 0; i < fatal.size(); ++i) {
    struct sigaction known{};
    if (::sigaction(fatal[i].number, nullptr, &known) != 0 || known.sa_sigaction == &on_fatal) continue;
    before[i] = known;
    ::sigaction(fatal[i].number, &ours, nullptr);
  }
}

OwnThread::OwnThread() {
  running_code.ours = true;
  // Workers leave signals to the main thread, but a fault that is blocked kills without a word. Threads that
  // a plugin makes inherit this.
  sigset_t faults;
  ::sigemptyset(&faults);
  for (const Fatal& one : fatal) ::sigaddset(&faults, one.number);
  ::pthread_sigmask(SIG_UNBLOCK, &faults, nullptr);
  stack_t known{};
  if (::sigaltstack(nullptr, &known) != 0 || (known.ss_flags & SS_DISABLE) == 0) return;
  stack_ = std::make_unique<char[]>(stack_bytes);
  stack_t own{};
  own.ss_sp = stack_.get();
  own.ss_size = stack_bytes;
  if (::sigaltstack(&own, nullptr) != 0) stack_.reset();
}

OwnThread::~OwnThread() {
  running_code.ours = false;
  if (!stack_) return;
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  ::sigaltstack(&none, nullptr);
}

}  // namespace penstock::plugin
