// One event loop: a worker's, or the control plane's on the main thread. Wraps uv_loop_t so that nothing
// above net/ includes <uv.h>. Everything here belongs to the loop's own thread but post(), which any thread
// may call. The loop owns its timer wheel, its block pool and the one big buffer that all reads go through.
// Transports, timers and queries must be destroyed before it; closing connections left to themselves need
// not.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/block_pool.h"
#include "base/free_list.h"
#include "base/intrusive_list.h"
#include "base/sized_pool.h"
#include "net/cork.h"
#include "net/pipe_pool.h"

struct uv_loop_s;

namespace penstock::net {

class TimerWheel;

// Base of what may be deleted late: nobody deletes itself or its caller (see Loop::defer_delete).
struct Deferred {
  virtual ~Deferred() = default;
};

// What must happen soon, but not in the caller's frame (see Loop::schedule). Destroying it cancels.
class Task : private ListHook {
 public:
  bool scheduled() const { return linked(); }
  void cancel() { unlink(); }

 protected:
  Task() = default;
  virtual ~Task() = default;

 private:
  friend class Loop;
  friend class IntrusiveList<Task>;
  virtual void run_task() = 0;  // may schedule itself again or destroy itself
};

class Loop {
 public:
  static constexpr size_t read_buffer_size = 128 * 1024;
  static constexpr size_t pressed_read_size = 16 * 1024;
  static constexpr size_t cipher_buffer_size = 64 * 1024;  // about four TLS records

  Loop();
  ~Loop();  // closes what is left and runs the loop until every handle is gone
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void run();    // until stop() or until nothing is left to wait for: a post() alone does not keep it waiting
  void serve();  // until stop(), even while there is nothing but post() to wait for
  void stop();   // this thread only; from another: post([&]{ loop.stop(); })

  // Runs fn on the loop's thread, in the order posted, at the next turn. ANY THREAD. Takes a lock: control
  // plane only, never per request. After the loop ended fn is destroyed without being run.
  void post(std::function<void()> fn);

  // Deletes the object before the loop may block again, never inside the caller's frame.
  void defer_delete(std::unique_ptr<Deferred> object);
  // Runs the task once before the loop may block again, never inside the caller's frame. Again while
  // scheduled: nothing.
  void schedule(Task& task);

  // The same after everybody whose bytes have come was served: for work that one peer can make long.
  void schedule_next_turn(Task& task);

  // Work of milliseconds that many peers can cause at once (TLS handshakes): a turn does about work_share_ns
  // of it, and what is more waits for later turns, in order, while everybody else is served in between. True:
  // do it now; false: the task runs when its turn has come. Either way worked() tells how long it took.
  static constexpr uint64_t work_share_ns = 2'000'000;
  bool may_work(Task& task);
  void worked(uint64_t ns);

  // Requests, of which one client of HTTP/2 can have a hundred ready: a turn begins about begins_a_turn of
  // all clients together, whole batches, and who has more or comes later waits for later turns, in order.
  // Were all begun at once, as many connections to backends would be in use, and nothing that a request
  // touches (some 6 KiB) would be in the processor's cache when its answer comes. 32 of them fit into a
  // second-level cache; fewer leave each write too little to carry. Nobody waits longer for that: a turn is
  // as much shorter. True: begin now; false: the task runs when its turn has come. Either way begun() tells
  // how many there were, but for those that could not wait: so nothing that a turn's events bring keeps who
  // waits from their batch.
  static constexpr uint32_t begins_a_turn = 32;
  bool may_begin(Task& task);
  void begin_later(Task& task);  // behind all others that wait
  void begun(uint32_t requests);

  // How often the loop has asked for events. What was read before the last time may have left bytes behind;
  // what is readable since then was told to everybody by the end of the turn.
  uint64_t polls() const { return polls_; }

  uint64_t now_ms() const;  // monotonic, cached once a turn (uv_now)
  int64_t wall_ns() const;  // Unix time in ns, advanced with now_ms(): at most a turn old, no system call
  uint64_t now_ns() const;  // monotonic, read now (vDSO): for durations only, not for every byte
  TimerWheel& timers() { return *timers_; }
  BlockPool& blocks() { return blocks_; }
  PipePool& pipes() { return pipes_; }  // for net/ alone
  Cork& cork() { return cork_; }        // for net/ alone
  // Memory of what connections hold while a message is under way; objects of one class alone.
  FreeList& streams() { return streams_; }
  // For what else comes and goes with messages, in whatever size.
  SizedPool& pieces() { return pieces_; }
  // The shared read buffer. Valid for the transport that is reading, until its on_read returns.
  // Shorter while the process is short of memory.
  std::span<char> read_buffer() {
    return {read_buffer_.get(), blocks_.pressed() ? pressed_read_size : read_buffer_size};
  }
  // For net/ alone: where TLS receives what it decrypts into read_buffer(). Made when first asked for;
  // shorter while the process is short of memory, too: what a handler that paused leaves of it is kept.
  std::span<char> cipher_buffer();
  // How long the last turn kept everybody else waiting, in ms: the heartbeat of watchdogs and of
  // penstock_worker_loop_lag_seconds.
  uint64_t lag_ms() const { return lag_ms_; }

  uv_loop_s* raw();  // for net/ alone

 private:
  struct Handles;  // the uv handles, the posted functions and what waits for the end of the turn
  std::unique_ptr<Handles> handles_;
  std::unique_ptr<TimerWheel> timers_;
  BlockPool blocks_;
  PipePool pipes_{blocks_};
  Cork cork_;
  FreeList streams_{1024};
  SizedPool pieces_;
  std::unique_ptr<char[]> read_buffer_;
  std::unique_ptr<char[]> cipher_buffer_;
  uint64_t lag_ms_ = 0;
  uint64_t polls_ = 0;
};

}  // namespace penstock::net
