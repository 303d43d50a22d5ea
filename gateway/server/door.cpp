#include "server/door.h"

#include <unistd.h>

#include <utility>

#include "net/tcp_transport.h"

namespace penstock::server {

// A connection's share of max_connections.
class Door::Place final : public net::Place {
 public:
  explicit Place(Door& door) : door_(door) {}
  ~Place() override { door_.gave_back(*this); }

 private:
  Door& door_;
};

// An accepted TLS connection until its handshake is over. Owned by its door's list.
class Door::Handshake final : public net::Deferred,
                              public ListHook,
                              private net::TlsHandshakeHandler,
                              private net::TransportHandler {
 public:
  Handshake(Door& door, int descriptor, const net::Address& peer) : door_(door) {
    transport_ =
        net::make_tls_server_transport(door.owner_.door_loop(), descriptor, peer, door.plan_.info->tls,
                                       door.settings_.header_timeout_ms, *this);
    transport_->set_handler(this);
  }
  net::Transport& transport() { return *transport_; }
  void cut() { transport_.reset(); }

 private:
  void on_handshake() override {
    auto transport = std::move(transport_);
    transport->set_handler(nullptr);
    Door& door = door_;
    door.serve(std::move(transport));
    door.handshake_over(*this);
  }
  void on_read(std::span<const char>) override {}  // nothing is read before start_reading()
  void on_read_end() override {}
  void on_drained() override {}
  void on_error(const Error&) override { door_.handshake_over(*this); }

  Door& door_;
  std::unique_ptr<net::Transport> transport_;
};

Door::Door(DoorOwner& owner, DoorPlan plan, proxy::Generation& generation)
    : owner_(owner), plan_(std::move(plan)), generation_(&generation), settings_(plan_.info->http) {
  acceptor_ = std::make_unique<net::Acceptor>(owner_.door_loop(), *plan_.socket, accepted, this);
}

Door::~Door() { cut(); }

void Door::renew(DoorPlan plan, proxy::Generation& generation) {
  plan_ = std::move(plan);
  generation_ = &generation;
  settings_ = plan_.info->http;
}

void Door::close(uint32_t idle_grace_ms) {
  idle_grace_ms_ = idle_grace_ms;
  if (acceptor_) {
    acceptor_->drain_queue();
    acceptor_.reset();
    plan_.socket.reset();
  }
  connections_.for_each([&](http::DownstreamConnection& connection) { connection.drain(idle_grace_ms); });
  report_if_empty();
}

void Door::cut() {
  acceptor_.reset();
  plan_.socket.reset();
  while (Handshake* handshake = handshakes_.front()) {
    handshake->cut();
    handshake_over(*handshake);
  }
  connections_.for_each([](http::DownstreamConnection& connection) { connection.close(); });
  places_.for_each([](net::Place& place) { place.cut(); });
}

void Door::accepted(void* self, int descriptor, const net::Address& peer) {
  Door& door = *static_cast<Door*>(self);
  if (!door.plan_.load->enter(door.plan_.info->max_connections)) {
    ::close(descriptor);
    return;
  }
  door.owner_.connection_opened();
  auto place = std::make_unique<Place>(door);
  door.places_.push_back(*place);
  if (door.plan_.info->tls) {
    auto* handshake = new Handshake(door, descriptor, peer);
    door.handshakes_.push_back(*handshake);
    handshake->transport().hold(std::move(place));
  } else {
    auto transport = net::make_tcp_transport(door.owner_.door_loop(), descriptor, peer);
    transport->hold(std::move(place));
    door.serve(std::move(transport));
  }
}

void Door::serve(std::unique_ptr<net::Transport> transport) {
  auto connection = http::make_http1_downstream(owner_.door_loop(), std::move(transport), settings_,
                                                owner_.downstream_owner());
  connection->context = this;
  auto& served = *connection.release();
  connections_.push_back(served);
  if (closed()) served.drain(idle_grace_ms_);  // its handshake was over too late
}

void Door::left(http::DownstreamConnection& connection) {
  connection.unlink();
  owner_.door_loop().defer_delete(std::unique_ptr<net::Deferred>(&connection));
  report_if_empty();
}

void Door::handshake_over(Handshake& handshake) {
  handshake.unlink();
  owner_.door_loop().defer_delete(std::unique_ptr<net::Deferred>(&handshake));
  report_if_empty();
}

void Door::gave_back(Place& place) {
  place.unlink();
  plan_.load->leave();
  owner_.connection_closed();
  report_if_empty();
}

void Door::report_if_empty() {
  if (closed() && empty()) owner_.door_empty(*this);
}

}  // namespace penstock::server
