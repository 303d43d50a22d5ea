#include "net/socket.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>

#include "base/reason.h"
#include "net/descriptor.h"
#include "net/reader_watch.h"

namespace penstock::net {

// One for each connection that waits; half of it is libuv's.
static_assert(sizeof(Socket) <= 320);

Socket::Socket(Loop& loop, int fd, ErrorSource source, SocketOwner& owner)
    : loop_(loop), owner_(&owner), fd_(fd), source_(source), queue_(loop.blocks()) {
  int result = uv_poll_init(loop.raw(), &poll_, fd);
  polled_ = result == 0;
  poll_.data = static_cast<LoopHandle*>(this);
  if (!polled_) fail(-result);
}

Socket::~Socket() { assert(state_ == State::closed); }

Socket* Socket::adopt(Loop& loop, int fd, ErrorSource source, SocketOwner& owner) {
  return new Socket(loop, fd, source, owner);
}

Socket* Socket::connect(Loop& loop, int fd, const Address& to, SocketOwner& owner) {
  auto* socket = new Socket(loop, fd, ErrorSource::upstream, owner);
  if (socket->state_ == State::failed) return socket;
  socket->state_ = State::connecting;
  if (::connect(fd, &to.any, to.length()) != 0 && errno != EINPROGRESS)
    // Of IPv6 it says that we have no address to come from, hardly ever that the ports are all used.
    socket->fail(errno == EADDRNOTAVAIL && to.any.sa_family == AF_INET6 ? EHOSTUNREACH : errno);
  else
    socket->update_events();
  return socket;
}

void Socket::hold(std::unique_ptr<Place> place) {
  place_ = std::move(place);
  place_->socket_ = this;
}

bool Place::left() const { return socket_ && !socket_->owner(); }
size_t Place::unsent() const { return socket_ ? socket_->unsent() : 0; }
uint64_t Place::bytes_taken() const { return socket_ ? socket_->bytes_taken() : 0; }
uint64_t Place::sent_ms() const { return socket_ ? socket_->sent_ms() : 0; }
bool Place::input_waits() const { return socket_ && socket_->input_waits(); }

void Place::cut() {
  if (socket_ && !socket_->owner()) socket_->cut();
}

void Socket::set_reading(Reading reading, ReadInto into) {
  reading_ = reading == Reading::on;
  stays_armed_ = reading == Reading::off_for_now && (events_ & UV_READABLE);
  started_ |= reading_;
  read_into_ = into;
  update_events();
}

// --- output ---

void Socket::append(std::string_view bytes) {
  while (!(bytes = queue_.append(bytes)).empty()) flush();
}

void Socket::append_borrowed(std::string_view bytes) {
  while (!(bytes = queue_.append_borrowed(bytes)).empty()) flush();
}

std::span<char> Socket::reserve(size_t size) {
  std::span<char> room = queue_.reserve(size);
  if (!room.empty()) return room;
  flush();
  return queue_.reserve(size);
}

void Socket::flush() {
  if (state_ == State::broken || state_ == State::failed || queue_.empty()) {
    queue_.clear();
    return;
  }
  // While a rest waits for the socket, a try would only meet EAGAIN.
  if (!waits_to_write() && state_ == State::open) send_once();
  if (queue_.empty()) return;
  queue_.keep();
  drain_due_ = true;
  watch_reader();
  update_events();
}

void Socket::send_once() {
  std::array<iovec, 64> pieces;
  msghdr message{.msg_iov = pieces.data(), .msg_iovlen = queue_.segments(pieces)};
  const bool held = loop_.cork().claim(*this);
  const int flags = MSG_NOSIGNAL | (held ? MSG_MORE : 0);
  ssize_t sent;
  do {  // one piece without the kernel's copy of the message around it
    sent = message.msg_iovlen == 1 ? ::send(fd_, pieces[0].iov_base, pieces[0].iov_len, flags)
                                   : ::sendmsg(fd_, &message, flags);
  } while (sent < 0 && errno == EINTR);
  if (sent > 0) {
    if (!held) loop_.cork().forget(*this);
    bytes_written_ += static_cast<uint64_t>(sent);
    sent_ms_ = loop_.now_ms();
    queue_.consume(static_cast<size_t>(sent));
  } else if (sent < 0 && errno != EAGAIN) {
    lose(errno);
  }
}

void Socket::write_more() {
  if (pipe_) drain_pipe();
  if (!pipe_ && !queue_.empty() && state_ == State::open) send_once();
  if (state_ != State::open) return;
  if (leaving_) leaving_->timer.extend(stall_ms);
  if (unsent() == 0) rest_is_out();
  if (state_ != State::open) return;
  if (pipe_) return;  // who goes on when it is empty can splice again
  if (!queue_.empty() && (!drain_due_ || queue_.size() > Transport::low_mark)) return;
  drain_due_ = false;
  if (owner_) owner_->on_socket_drained();
}

// --- a peer that reads slowly ---

void Socket::watch_reader() {
  if (send_limits_.timeout_ms == 0 || state_ != State::open) return;
  if (!watch_) watch_ = std::make_unique<ReaderWatch>(*this);
  watch_->start();
}

uint64_t Socket::bytes_taken() const {
  int waiting = 0;
  if (::ioctl(fd_, SIOCOUTQ, &waiting) != 0) waiting = 0;
  uint64_t in_kernel = static_cast<uint64_t>(std::max(waiting, 0));
  return bytes_written_ > in_kernel ? bytes_written_ - in_kernel : 0;
}

// What the kernel still holds is not for a peer that takes nothing: the descriptor closes with a reset,
// whoever closes it.
void Socket::strike(Limit limit) {
  linger at_once{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  struck_ = limit;
  fail(ETIMEDOUT);
}

// --- the end of sending ---

void Socket::shutdown() {
  if (finish_ != Finish::no) return;
  finish_ = Finish::wanted;
  flush();
  if (unsent() == 0) finish_sending();
}

void Socket::finish_sending() {
  if (finish_ == Finish::done || state_ != State::open) return;
  finish_ = Finish::done;
  ::shutdown(fd_, SHUT_WR);
}

void Socket::rest_is_out() {
  if (finish_ == Finish::wanted) finish_sending();
  if (!leaving_) return;
  // RFC 9112 9.6: the peer's bytes are read and dropped for a while, because closing with unread bytes sends
  // a reset that can overtake our last answer.
  if (leaving_->linger_ms == 0 || read_ended_) {
    drop_input();
    close();
    return;
  }
  leaving_->timer.start(leaving_->linger_ms);
  set_reading(Reading::on, read_into_);
}

void Socket::release(uint64_t linger_ms) {
  owner_ = nullptr;
  if (state_ != State::open) {
    close();
    return;
  }
  shutdown();
  if (state_ != State::open) {
    close();
    return;
  }
  leaving_.reset(new Leaving{.timer = Timer(
                                 loop_, [](void* self) { static_cast<Socket*>(self)->linger_on(); }, this),
                             .linger_ms = linger_ms});
  if (unsent() == 0)
    rest_is_out();
  else
    leaving_->timer.start(stall_ms);
  update_events();
}

// Who closes without a linger has read all that came a moment ago, but what has come since would make the
// close a reset, too.
void Socket::drop_input() {
  std::array<char, 8 * 1024> dropped;
  for (int i = 0; !read_ended_ && i < 8; ++i)
    if (::recv(fd_, dropped.data(), dropped.size(), MSG_DONTWAIT) < static_cast<ssize_t>(dropped.size()))
      return;
}

// While the peer's kernel takes our last answer: closing over its unread bytes throws away what ours still
// holds. Its reader is watched meanwhile as before.
void Socket::linger_on() {
  if (unsent() > 0 || bytes_taken() == bytes_written_ || send_limits_.timeout_ms == 0) return cut();
  leaving_->timer.start(leaving_->linger_ms);
  watch_reader();
}

// A peer that has not got all must not mistake the cut for an end.
void Socket::cut() { unsent() == 0 ? close() : reset(); }

void Socket::reset() {
  linger at_once{1, 0};
  if (fd_ >= 0) ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  close();
}

void Socket::close() {
  if (state_ == State::closed) return;
  state_ = State::closed;
  owner_ = nullptr;
  const auto place = std::move(place_);  // goes at the end, when the descriptor is free
  leaving_.reset();
  watch_.reset();
  queue_.clear();
  drop_pipe();
  loop_.cork().forget(*this);
  cancel();
  if (polled_) {
    uv_close(reinterpret_cast<uv_handle_t*>(&poll_),
             [](uv_handle_t* raw) { delete static_cast<Socket*>(static_cast<LoopHandle*>(raw->data)); });
  } else {
    loop_.schedule(*this);
  }
  // uv_close() has taken the descriptor out of the loop already.
  ::close(fd_);
  fd_ = -1;
}

// --- events ---

void Socket::update_events() {
  if (in_callback_ || state_ == State::closed || !polled_) return;
  int want = 0;
  if (state_ == State::connecting) want = UV_WRITABLE;
  if (state_ == State::open) {
    if (waits_to_write()) want |= UV_WRITABLE;
    // A connection that is not read still hears of a reset, so that work for who is gone can stop; after the
    // peer's FIN too. The kernel always tells errors, so what is asked for then never comes: urgent data.
    if (!read_ended_ && (reading_ || stays_armed_)) want |= UV_READABLE;
    if (!read_ended_ && !reading_ && !stays_armed_ && started_ && !disconnect_seen_) want |= UV_DISCONNECT;
    if (want == 0 && started_ && !hangup_seen_) want = UV_PRIORITIZED;
  }
  if (state_ == State::broken && reading_) want = UV_READABLE;
  if (want == events_) return;
  events_ = static_cast<uint8_t>(want);
  if (want == 0)
    uv_poll_stop(&poll_);
  else
    uv_poll_start(&poll_, want, on_poll);
}

void Socket::on_poll(uv_poll_t* raw, int status, int events) {
  auto& self = *static_cast<Socket*>(static_cast<LoopHandle*>(raw->data));
  self.in_callback_ = true;
  self.stays_armed_ = false;
  self.handle_events(status, events);
  self.in_callback_ = false;
  self.update_events();
}

void Socket::handle_events(int status, int events) {
  if (status < 0) events_ = 0;  // POLLERR: libuv stopped the handle
  if (state_ == State::connecting) {
    finish_connect();
    return;
  }
  if (status < 0) {
    poll_error();
    return;
  }
  if ((events & UV_WRITABLE) && waits_to_write()) write_more();
  if (state_ != State::open && state_ != State::broken) return;
  if (events & UV_READABLE)
    read_once();
  else if (events & UV_DISCONNECT)
    hear_disconnect();
  else if (events & UV_PRIORITIZED)
    hear_hangup();
}

int Socket::take_error() {
  int error = 0;
  socklen_t length = sizeof(error);
  return ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

void Socket::finish_connect() {
  int error = take_error();
  if (error != 0) {
    fail(error);
    return;
  }
  state_ = State::open;
  if (owner_) owner_->on_socket_connected();
}

void Socket::hear_disconnect() {
  disconnect_seen_ = true;
  if (owner_) owner_->on_socket_end_announced();
}

// libuv gives the event that was asked for when an error or a hangup comes alone. What is no error (both
// sides ended, urgent data) would come again and again.
void Socket::hear_hangup() {
  if (int error = take_error(); error != 0)
    lose(error);
  else
    hangup_seen_ = true;
}

bool Socket::input_waits() const { return net::input_waits(fd_); }

// What came before the reset is still read; recv() then tells the errno. While paused it stays in the kernel
// until the reader comes back, if it is a backend's.
void Socket::poll_error() {
  if (reading_ && !read_ended_ && read_once()) return;
  int error = take_error();
  lose(error != 0 ? error : ECONNRESET);
}

// Nothing can be sent any more. A client that is gone takes no answer, so what it sent is worth nothing; but
// a backend may answer before it has read all (413, 401), and close: its reset must not swallow that answer.
void Socket::lose(int system_errno) {
  if (!answer_waits(system_errno)) return fail(system_errno);
  error_ = system_errno;
  state_ = State::broken;
  queue_.clear();
  drop_pipe();
  update_events();
  // A writer that waits may go on into the void: it waited for room alone.
  if (drain_due_) loop_.schedule(*this);
}

// The errno was taken from the kernel by the call that told it, so recv() gives what lies in the queue.
bool Socket::answer_waits(int system_errno) const {
  if (state_ != State::open || source_ != ErrorSource::upstream || leaving_ || !started_ || read_ended_)
    return false;
  if (system_errno != ECONNRESET && system_errno != EPIPE) return false;
  char byte;
  ssize_t size = ::recv(fd_, &byte, 1, MSG_PEEK);
  return size > 0 || (size == 0 && system_errno == EPIPE);
}

void Socket::fail(int system_errno) {
  if (state_ == State::failed || state_ == State::closed) return;
  if (leaving_) {
    close();
    return;
  }
  error_ = system_errno;
  connect_failed_ = state_ == State::connecting;
  state_ = State::failed;
  queue_.clear();
  drop_pipe();
  update_events();
  loop_.schedule(*this);
}

void Socket::run_task() {
  if (state_ == State::closed) {
    delete this;
    return;
  }
  if (!owner_) return;
  if (state_ == State::broken) {
    drain_due_ = false;
    owner_->on_socket_drained();
    return;
  }
  Error error = connect_failed_ ? connect_error(error_) : socket_error(error_, source_);
  if (struck_ != Limit::none) {
    error.reason = reason::client_slow;
    error.text = "the client takes the answer too slowly";
    error.limit = struck_;
  }
  owner_->on_socket_error(error);
}

Error socket_error(int system_errno, ErrorSource source) {
  Error error;
  error.source = source;
  error.retry = source == ErrorSource::upstream ? Retry::if_reused : Retry::no;
  error.reason = source == ErrorSource::upstream ? reason::upstream_reset : reason::client_closed;
  switch (system_errno) {
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
      error.kind = ErrorKind::reset;
      error.text = "the peer reset the connection";
      break;
    case ETIMEDOUT:
      error.kind = ErrorKind::timeout;
      error.text = "the peer no longer acknowledges (ETIMEDOUT)";
      break;
    case ENOMEM:
    case ENOBUFS:
      error.kind = ErrorKind::system;
      error.text = "the kernel has no memory for the connection";
      break;
    default: error.kind = ErrorKind::system; error.text = "the connection broke";
  }
  return error;
}

Error connect_error(int system_errno) {
  Error error;
  error.source = ErrorSource::upstream;
  error.retry = Retry::yes;
  error.reason = reason::upstream_connect_refused;
  error.kind = ErrorKind::system;
  switch (system_errno) {
    case ECONNREFUSED:
      error.kind = ErrorKind::refused;
      error.text = "connection refused";
      break;
    case ECONNRESET:
      error.kind = ErrorKind::refused;
      error.text = "connection reset while connecting";
      break;
    case ETIMEDOUT:
      error.kind = ErrorKind::timeout;
      error.reason = reason::upstream_connect_timeout;
      error.text = "no answer to the connection attempt";
      break;
    case EHOSTUNREACH:
    case ENETUNREACH: error.text = "no route to the endpoint"; break;
    case EMFILE:
    case ENFILE:  // nobody's fault but ours
      error.kind = ErrorKind::limit;
      error.reason = reason::overload;
      error.limit = Limit::descriptors;
      error.text = "no descriptor is free for an upstream connection";
      break;
    case EADDRNOTAVAIL:
      error.kind = ErrorKind::limit;
      error.reason = reason::overload;
      error.text = "no local port is free towards the endpoint";
      break;
    case ENOMEM:
    case ENOBUFS:
      error.kind = ErrorKind::limit;
      error.reason = reason::overload;
      error.text = "the kernel has no memory for an upstream connection";
      break;
    default: error.text = "the connection attempt failed";
  }
  return error;
}

}  // namespace penstock::net
