#include "net/tcp_transport.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "base/reason.h"
#include "net/socket.h"

namespace penstock::net {
namespace {

// The owner side; socket_ is null once the connection was given up (close_gracefully, abort).
class TcpTransport final : public Transport, private SocketOwner {
 public:
  TcpTransport(Loop& loop, int fd, const Address& peer)
      : socket_(Socket::adopt(loop, fd, ErrorSource::downstream, *this)), peer_(peer) {}
  TcpTransport(Socket& connected, const Address& peer, const Address& local)
      : socket_(&connected), peer_(peer), local_(std::make_unique<Address>(local)) {
    socket_->set_owner(*this);
  }
  ~TcpTransport() override {
    if (socket_) socket_->close();
  }

  void hold(std::unique_ptr<Place> place) override {
    if (socket_) socket_->hold(std::move(place));
  }
  void limit_sending(const SendLimits& limits) override {
    if (socket_) socket_->limit_sending(limits);
  }
  void start_reading() override {
    started_ = true;
    sync_reading();
  }
  void pause(PauseReason reason) override {
    if (pauses_.set(reason)) sync_reading();
  }
  void resume(PauseReason reason) override {
    if (pauses_.clear(reason)) sync_reading();
  }

  void append(std::string_view bytes) override {
    if (socket_) socket_->append(bytes);
  }
  void append_borrowed(std::string_view bytes) override {
    if (socket_) socket_->append_borrowed(bytes);
  }
  std::span<char> reserve(size_t size) override {
    return socket_ ? socket_->reserve(size) : std::span<char>{};
  }
  void commit(size_t used) override {
    if (socket_) socket_->commit(used);
  }
  void flush() override {
    if (socket_) socket_->flush();
  }
  size_t unsent() const override { return socket_ ? socket_->unsent() : 0; }
  Socket* plain_socket() override { return socket_; }

  void shutdown() override {
    if (socket_) socket_->shutdown();
  }
  void close_gracefully(uint64_t linger_ms) override {
    if (Socket* socket = leave()) socket->release(linger_ms);
  }
  void abort() override {
    if (Socket* socket = leave()) socket->reset();
  }

  bool input_waits() const override { return socket_ && socket_->input_waits(); }

  const Address& peer() const override { return peer_; }
  const Address& local() const override {
    // Asked for by few, so not read for every connection.
    if (!local_) local_ = std::make_unique<Address>();
    socklen_t length = sizeof(local_->v6);
    if (!local_->valid() && socket_) ::getsockname(socket_->fd(), &local_->any, &length);
    return *local_;
  }
  uint64_t bytes_read() const override { return socket_ ? socket_->bytes_read() : 0; }
  uint64_t bytes_written() const override { return socket_ ? socket_->bytes_written() : 0; }
  uint64_t bytes_taken() const override { return socket_ ? socket_->bytes_taken() : 0; }

  Socket* leave() { return std::exchange(socket_, nullptr); }

 private:
  void on_socket_read(std::span<const char> bytes) override { handler_->on_read(bytes); }
  NextRead<Socket> next_socket_read() override {
    const NextRead<Transport> next = handler_->next_read();
    return {next.sink ? next.sink->plain_socket() : nullptr, next.most, next.at_first};
  }
  void on_socket_spliced(size_t bytes) override { handler_->on_spliced(bytes); }
  void on_socket_read_end() override { handler_->on_read_end(); }
  void on_socket_end_announced() override { handler_->on_end_announced(); }
  void on_socket_drained() override { handler_->on_drained(); }
  void on_socket_error(const Error& error) override { handler_->on_error(error); }

  void sync_reading() {
    if (!socket_ || !started_) return;
    socket_->set_reading(pauses_.any() ? Reading::off : Reading::on, ReadInto::read_buffer);
  }

  Socket* socket_;
  PauseReasons pauses_;
  bool started_ = false;
  Address peer_;
  mutable std::unique_ptr<Address> local_;
};

static_assert(sizeof(TcpTransport) <= 72);

class TcpConnect final : public Connect, private SocketOwner, private Task {
 public:
  TcpConnect(Loop& loop, const Address& to, uint64_t timeout_ms, Done fn, void* owner)
      : fn_(fn), owner_(owner), to_(to), timer_(loop, on_timeout, this) {
    int fd = ::socket(to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
      early_errno_ = errno;
      loop.schedule(*this);
      return;
    }
    int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    socket_ = Socket::connect(loop, fd, to, *this);
    if (timeout_ms > 0) timer_.start(timeout_ms);
  }
  ~TcpConnect() override { give_up(); }

 private:
  void on_socket_connected() override {
    Address local;
    socklen_t length = sizeof(local.v6);
    ::getsockname(socket_->fd(), &local.any, &length);
    timer_.stop();
    if (local == to_) {
      // The kernel chose the very port that we connect to (nobody listens there) and met itself.
      give_up();
      fn_(owner_, std::unexpected(connect_error(ECONNREFUSED)));
      return;
    }
    auto transport = std::make_unique<TcpTransport>(*std::exchange(socket_, nullptr), to_, local);
    fn_(owner_, std::unique_ptr<Transport>(std::move(transport)));
  }
  void on_socket_error(const Error& error) override {
    Error copy = error;
    timer_.stop();
    give_up();
    fn_(owner_, std::unexpected(copy));
  }
  void run_task() override { fn_(owner_, std::unexpected(connect_error(early_errno_))); }
  static void on_timeout(void* raw) {
    auto& self = *static_cast<TcpConnect*>(raw);
    self.give_up();
    self.fn_(self.owner_, std::unexpected(connect_error(ETIMEDOUT)));
  }
  void give_up() {
    if (socket_) std::exchange(socket_, nullptr)->close();
  }

  Done fn_;
  void* owner_;
  Address to_;
  Socket* socket_ = nullptr;
  int early_errno_ = 0;
  Timer timer_;
};

}  // namespace

std::unique_ptr<Transport> make_tcp_transport(Loop& loop, int fd, const Address& peer) {
  return std::make_unique<TcpTransport>(loop, fd, peer);
}

std::unique_ptr<Connect> connect_tcp(Loop& loop, const Address& to, uint64_t timeout_ms, Connect::Done fn,
                                     void* owner) {
  return std::make_unique<TcpConnect>(loop, to, timeout_ms, fn, owner);
}

Socket& take_socket(Transport& connected) { return *static_cast<TcpTransport&>(connected).leave(); }

}  // namespace penstock::net
