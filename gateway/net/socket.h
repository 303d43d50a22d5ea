// The loop side of one TCP connection: descriptor, uv_poll_t and send queue. Its owner (a transport or a
// pending connect) lives and dies as it likes; this object lives until libuv's close callback, so code that
// calls an owner may always go on with the socket and ask owner() whether anybody is left. How it reads is in
// socket_read.cpp, what goes from one socket to another within the kernel in socket_splice.cpp. Private to
// net/.
//
// Reading stays armed in the steady state: uv_poll_start() is called only when the wanted events change, and
// inside our own callback only once at its end.
#pragma once
#include <uv.h>

#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "net/address.h"
#include "net/loop.h"
#include "net/loop_handle.h"
#include "net/pipe_pool.h"
#include "net/send_queue.h"
#include "net/timer.h"
#include "net/transport.h"

namespace penstock::net {

// Every callback may destroy the owner or make it leave (close, release).
class SocketOwner {
 public:
  virtual void on_socket_connected() {}                            // once, after connect()
  virtual void on_socket_read(std::span<const char> /*bytes*/) {}  // valid until it returns
  virtual void on_socket_read_end() {}                             // FIN
  virtual void on_socket_end_announced() {}                        // FIN behind what is not read; once
  virtual void on_socket_drained() {}                              // see TransportHandler::on_drained
  virtual void on_socket_error(const Error& error) = 0;            // last; never inside a call of the owner
  // See TransportHandler::next_read.
  virtual NextRead<Socket> next_socket_read() { return {}; }
  virtual void on_socket_spliced(size_t /*bytes*/) {}

 protected:
  ~SocketOwner() = default;
};

class ReaderWatch;

// off_for_now: not long enough to be worth two system calls there and two back, so the event stays asked for
// until it comes.
enum class Reading : uint8_t { off, off_for_now, on };
enum class ReadInto : uint8_t { read_buffer, cipher_buffer };

class Socket final : private LoopHandle, private Task {
 public:
  // How long a connection whose owner left may take nothing of what is still to be sent.
  static constexpr uint64_t stall_ms = 30'000;

  // Takes the descriptor. An error of libuv's arrives through on_socket_error.
  static Socket* adopt(Loop& loop, int fd, ErrorSource source, SocketOwner& owner);
  // Starts connecting on a fresh non-blocking descriptor: on_socket_connected or on_socket_error.
  static Socket* connect(Loop& loop, int fd, const Address& to, SocketOwner& owner);

  SocketOwner* owner() const { return owner_; }
  void hold(std::unique_ptr<Place> place);
  void limit_sending(const SendLimits& limits) { send_limits_ = limits; }
  void set_owner(SocketOwner& owner) { owner_ = &owner; }
  void set_reading(Reading reading, ReadInto into);

  void append(std::string_view bytes);
  void append_borrowed(std::string_view bytes);
  std::span<char> reserve(size_t size);
  void commit(size_t used) { queue_.commit(used); }
  void flush();
  size_t unsent() const { return queue_.size() + (pipe_ ? pipe_->held() : 0); }

  void shutdown();                   // FIN after the rest
  void release(uint64_t linger_ms);  // the owner leaves; sends the rest, FIN, reads on for linger_ms, closes
  void close();                      // the owner leaves; at once
  void cut();                        // the same, but a rest that is lost shows as a reset
  void reset();                      // the owner leaves; RST

  int fd() const { return fd_; }
  Loop& loop() { return loop_; }
  bool input_waits() const;
  // Written and acknowledged by the peer's kernel. A system call.
  uint64_t bytes_taken() const;
  // The peer reads too slowly: the end.
  void strike(Limit limit);
  const SendLimits& send_limits() const { return send_limits_; }
  // Here, or in the kernel of one that was left.
  bool rest_waits() const {
    return state_ == State::open && (waits_to_write() || (leaving_ && bytes_taken() < bytes_written_));
  }
  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t bytes_written() const { return bytes_written_; }
  uint64_t sent_ms() const { return sent_ms_; }  // the last of them

 private:
  // broken: the backend is gone, nothing can be sent, but what it answered before is still read.
  enum class State : uint8_t { connecting, open, broken, failed, closed };
  enum class Finish : uint8_t { no, wanted, done };  // our FIN

  Socket(Loop& loop, int fd, ErrorSource source, SocketOwner& owner);
  ~Socket() override;

  static void on_poll(uv_poll_t* raw, int status, int events);
  void handle_events(int status, int events);
  void finish_connect();
  // filled: a short read was, so that there is likely more.
  enum class ReadBytes : uint8_t { none, some, filled };
  NextRead<Socket> next_read();
  bool read_once();  // false: there was nothing to read
  ReadBytes receive(size_t most);
  bool splice_once(const NextRead<Socket>& to);
  bool takes_pipe() const;
  void take_pipe(std::unique_ptr<Pipe> pipe);
  void drain_pipe();
  void drop_pipe();
  bool waits_to_write() const { return queue_.keeping() || pipe_ != nullptr; }
  void end_input();
  int take_error();  // the kernel tells each error once
  void hear_disconnect();
  void hear_hangup();
  void poll_error();
  void write_more();
  void send_once();
  void lose(int system_errno);
  bool answer_waits(int system_errno) const;
  void fail(int system_errno);
  void finish_sending();
  void rest_is_out();
  void drop_input();
  void linger_on();
  void watch_reader();
  void update_events();
  void run_task() override;  // reports the error or the drain; or deletes a socket that libuv never knew
  void loop_ends() override { cut(); }

  // After release(): bounds the sending, then the lingering.
  struct Leaving {
    Timer timer;
    uint64_t linger_ms;
  };

  // What every read and write needs comes first, next to the handle's own end. What few sockets need is made
  // when they do: there may be very many that wait.
  Loop& loop_;
  SocketOwner* owner_;
  int fd_;
  State state_ = State::open;
  Finish finish_ = Finish::no;
  ErrorSource source_;
  ReadInto read_into_ = ReadInto::read_buffer;
  uint8_t events_ = 0;          // what the handle is armed for
  Limit struck_ = Limit::none;  // in State::failed: of send_limits_
  bool reading_ : 1 = false;
  bool stays_armed_ : 1 = false;      // Reading::off_for_now, and no event yet
  bool read_ended_ : 1 = false;       // FIN seen
  bool disconnect_seen_ : 1 = false;  // while not reading: the peer's end was announced
  bool hangup_seen_ : 1 = false;      // an end without an error was announced: nothing more to hear
  bool started_ : 1 = false;          // reading was on at least once
  bool in_callback_ : 1 = false;      // events are brought up to date at its end
  bool connect_failed_ : 1 = false;   // in State::failed
  bool drain_due_ : 1 = false;        // on_socket_drained is owed
  bool polled_ : 1 = false;           // libuv knows the handle
  int error_ = 0;                     // errno, in State::broken and failed
  SendQueue queue_;
  std::unique_ptr<Pipe> pipe_;  // what was spliced and is not sent yet: it goes before queue_
  uint64_t bytes_read_ = 0;
  uint64_t bytes_written_ = 0;
  uint64_t sent_ms_ = 0;
  std::unique_ptr<Place> place_;  // given back at close()
  SendLimits send_limits_;
  std::unique_ptr<ReaderWatch> watch_;  // made when the peer first leaves a rest
  std::unique_ptr<Leaving> leaving_;
  uv_poll_t poll_;
};

// What a socket's errno means to the layers above.
Error socket_error(int system_errno, ErrorSource source);
Error connect_error(int system_errno);

}  // namespace penstock::net
