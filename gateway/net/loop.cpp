#include "net/loop.h"

#include <time.h>
#include <uv.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <utility>
#include <vector>

#include "net/loop_handle.h"
#include "net/timer_wheel.h"

namespace penstock::net {
namespace {

// Only out of descriptors or memory at the start of a thread makes these fail: nothing can go on then.
void must(int result, const char* call) {
  if (result == 0) return;
  std::fprintf(stderr, "penstock: %s: %s\n", call, uv_strerror(result));
  std::abort();
}

int64_t read_wall_ns() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

struct Loop::Handles final : WheelAlarm {
  // How long the wall clock is advanced by the monotonic one alone: a step of the system's clock shows after
  // this.
  static constexpr uint64_t wall_refresh_ms = 1000;

  explicit Handles(Loop& of);
  void set(uint64_t at_ms) override;
  void clear() override { uv_timer_stop(&timer); }
  void run_posted();
  void end_turn();  // tasks and deletions, until there are none
  void do_work();   // what waits for a turn with a share left
  void do_begins();
  void do_yielded();
  void add_work(IntrusiveList<Task>& to, Task& task);
  void refresh_wall();
  bool idle();
  static Handles& from(uv_loop_t* raw) { return *static_cast<Handles*>(raw->data); }

  Loop& loop;
  uv_loop_t raw;
  uv_async_t async;
  uv_prepare_t prepare;
  uv_check_t check;
  uv_timer_t timer;
  uv_idle_t spin;         // while work or a yielded task waits: the loop looks for events, but does not block
  bool stopping = false;  // stop() was called in this run
  uint64_t turn_began_ms = 0;
  uint64_t wall_base_ms = 0;
  int64_t wall_base_ns = 0;
  IntrusiveList<Task> tasks;
  struct Mark final : Task {
    void run_task() override {}
  } end_of_turn;
  IntrusiveList<Task> work, yielded;
  uint64_t worked_ns = 0;  // in this turn
  IntrusiveList<Task> begins;
  uint32_t begun = 0;  // in this turn
  Mark end_of_begins;
  std::vector<std::unique_ptr<Deferred>> deferred, deleting;
  std::vector<std::function<void()>> running;
  std::mutex mutex;                           // guards `posted` alone
  std::vector<std::function<void()>> posted;  // from any thread
};

Loop::Handles::Handles(Loop& of) : loop(of) {
  must(uv_loop_init(&raw), "uv_loop_init");
  raw.data = this;
  must(uv_async_init(&raw, &async, [](uv_async_t* handle) { from(handle->loop).run_posted(); }),
       "uv_async_init");
  uv_prepare_init(&raw, &prepare);
  uv_check_init(&raw, &check);
  uv_timer_init(&raw, &timer);
  uv_idle_init(&raw, &spin);
  async.data = prepare.data = check.data = timer.data = spin.data = nullptr;
  // Before the loop blocks: libuv has just read the clock for its timers, so the turn's length costs no
  // further clock call.
  uv_prepare_start(&prepare, [](uv_prepare_t* handle) {
    Handles& self = from(handle->loop);
    self.loop.lag_ms_ = uv_now(&self.raw) - self.turn_began_ms;
    self.worked_ns = 0;
    self.begun = 0;
    self.end_turn();
    ++self.loop.polls_;
  });
  uv_check_start(&check, [](uv_check_t* handle) {
    Handles& self = from(handle->loop);
    self.turn_began_ms = uv_now(&self.raw);
    if (self.turn_began_ms - self.wall_base_ms >= wall_refresh_ms) self.refresh_wall();
    self.do_work();
  });
  for (auto* handle : {reinterpret_cast<uv_handle_t*>(&async), reinterpret_cast<uv_handle_t*>(&prepare),
                       reinterpret_cast<uv_handle_t*>(&check)})
    uv_unref(handle);
  turn_began_ms = uv_now(&raw);
  refresh_wall();
}

void Loop::Handles::set(uint64_t at_ms) {
  uint64_t now = uv_now(&raw);
  uv_timer_start(
      &timer, [](uv_timer_t* handle) { from(handle->loop).loop.timers().advance(uv_now(handle->loop)); },
      at_ms > now ? at_ms - now : 0, 0);
}

void Loop::Handles::refresh_wall() {
  wall_base_ms = uv_now(&raw);
  wall_base_ns = read_wall_ns();
}

void Loop::Handles::run_posted() {
  {
    std::lock_guard lock(mutex);
    running.swap(posted);
  }
  for (auto& fn : running) {
    auto mine = std::move(fn);
    mine();
  }
  running.clear();
}

void Loop::Handles::end_turn() {
  while (!tasks.empty() || !deferred.empty()) {
    while (Task* task = tasks.pop_front()) task->run_task();
    deleting.swap(deferred);
    deleting.clear();
  }
}

void Loop::Handles::add_work(IntrusiveList<Task>& to, Task& task) {
  uv_idle_start(&spin, [](uv_idle_t*) {});
  to.push_back(task);
}

// Each once: who yields again waits for the next turn.
void Loop::Handles::do_yielded() {
  yielded.push_back(end_of_turn);
  for (Task* task; (task = yielded.pop_front()) != &end_of_turn;) task->run_task();
}

// Each once at most. While handshakes wait all of them do: these take their time of each turn, so the shorter
// turns are, the more of the worker they would take from requests.
void Loop::Handles::do_begins() {
  begins.push_back(end_of_begins);
  while (begun < begins_a_turn || !work.empty()) {
    Task* task = begins.pop_front();
    if (task == &end_of_begins) return;
    task->run_task();
  }
  end_of_begins.cancel();
}

// After the events of the turn, so that those who have their connection already come first.
void Loop::Handles::do_work() {
  while (worked_ns < work_share_ns) {
    Task* task = work.pop_front();
    if (!task) break;
    task->run_task();
  }
  if (!begins.empty()) do_begins();
  if (!yielded.empty()) do_yielded();
  if (work.empty() && begins.empty() && yielded.empty()) uv_idle_stop(&spin);
}

bool Loop::Handles::idle() {
  std::lock_guard lock(mutex);
  return posted.empty() && tasks.empty() && deferred.empty() && work.empty() && begins.empty() &&
         yielded.empty();
}

Loop::Loop()
    : handles_(std::make_unique<Handles>(*this)),
      timers_(std::make_unique<TimerWheel>(*handles_, uv_now(&handles_->raw))),
      read_buffer_(std::make_unique_for_overwrite<char[]>(read_buffer_size)) {}

Loop::~Loop() {
  handles_->end_turn();
  {
    std::vector<std::function<void()>> dropped;
    std::lock_guard lock(handles_->mutex);
    dropped.swap(handles_->posted);
  }
  uv_walk(
      &handles_->raw,
      [](uv_handle_t* handle, void*) {
        if (uv_is_closing(handle)) return;
        if (handle->data)
          static_cast<LoopHandle*>(handle->data)->loop_ends();
        else if (handle->type != UV_PREPARE)
          uv_close(handle, nullptr);
      },
      nullptr);
  // The prepare handle goes last: close callbacks may schedule tasks.
  uv_run(&handles_->raw, UV_RUN_DEFAULT);
  handles_->end_turn();
  uv_close(reinterpret_cast<uv_handle_t*>(&handles_->prepare), nullptr);
  uv_run(&handles_->raw, UV_RUN_DEFAULT);
  must(uv_loop_close(&handles_->raw), "uv_loop_close");
}

void Loop::run() {
  handles_->stopping = false;
  handles_->run_posted();
  do {
    handles_->end_turn();
    uv_run(&handles_->raw, UV_RUN_DEFAULT);
    if (!handles_->stopping) handles_->run_posted();
  } while (!handles_->stopping && !handles_->idle());
}

void Loop::serve() {
  uv_ref(reinterpret_cast<uv_handle_t*>(&handles_->async));
  uv_run(&handles_->raw, UV_RUN_DEFAULT);
  uv_unref(reinterpret_cast<uv_handle_t*>(&handles_->async));
}

void Loop::stop() {
  handles_->stopping = true;
  uv_stop(&handles_->raw);
}

void Loop::post(std::function<void()> fn) {
  {
    std::lock_guard lock(handles_->mutex);
    handles_->posted.push_back(std::move(fn));
  }
  uv_async_send(&handles_->async);
}

void Loop::defer_delete(std::unique_ptr<Deferred> object) { handles_->deferred.push_back(std::move(object)); }

void Loop::schedule(Task& task) {
  if (!task.scheduled()) handles_->tasks.push_back(task);
}

void Loop::schedule_next_turn(Task& task) {
  if (task.scheduled()) return;
  uv_idle_start(&handles_->spin, [](uv_idle_t*) {});
  handles_->yielded.push_back(task);
}

bool Loop::may_work(Task& task) {
  if (handles_->work.empty() && handles_->worked_ns < work_share_ns) return true;
  handles_->add_work(handles_->work, task);
  return false;
}

void Loop::worked(uint64_t ns) { handles_->worked_ns += ns; }

bool Loop::may_begin(Task& task) {
  if (handles_->begins.empty() && handles_->begun < begins_a_turn) return true;
  begin_later(task);
  return false;
}

void Loop::begin_later(Task& task) { handles_->add_work(handles_->begins, task); }

void Loop::begun(uint32_t requests) { handles_->begun += requests; }

std::span<char> Loop::cipher_buffer() {
  if (!cipher_buffer_) cipher_buffer_ = std::make_unique_for_overwrite<char[]>(cipher_buffer_size);
  return {cipher_buffer_.get(), blocks_.pressed() ? pressed_read_size : cipher_buffer_size};
}

uint64_t Loop::now_ms() const { return uv_now(&handles_->raw); }
uint64_t Loop::now_ns() const { return uv_hrtime(); }

int64_t Loop::wall_ns() const {
  uint64_t since_ms = uv_now(&handles_->raw) - handles_->wall_base_ms;
  return handles_->wall_base_ns + static_cast<int64_t>(since_ms) * 1'000'000;
}

uv_loop_s* Loop::raw() { return &handles_->raw; }

}  // namespace penstock::net
