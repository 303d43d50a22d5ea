// What a door's connections are before they are HTTP: a place, a PROXY header that is awaited, a TLS
// handshake. Private to the door's own files (door.cpp, door_room.cpp); owned as door.h says.
#pragma once
#include <algorithm>
#include <memory>
#include <span>
#include <utility>

#include "base/reason.h"
#include "base/spared.h"
#include "net/proxy_receiver.h"
#include "server/door.h"

namespace penstock::server {

inline bool trusted(const proxy::ListenerInfo& info, const net::Address& address) {
  return std::ranges::any_of(info.trusted_proxies,
                             [&](const net::Cidr& block) { return block.contains(address); });
}

// A connection's share of max_connections, and of its client's.
class Door::Place final : public net::Place, public Reader<Door::Place> {
 public:
  explicit Place(Door& door) : door_(door) {}
  // Before it got this its peer was silent for so long, in the kernel's queue and here. 0 while places are
  // left.
  uint32_t quiet_ms = 0;

  ~Place() override {
    if (served_) served_->place = nullptr;
    leave();
    door_.gave_back(*this);
  }

  void serves(http::DownstreamConnection& connection) {
    served_ = &connection;
    connection.place = this;
    connection.quiet_ms = quiet_ms;
  }
  void served() { served_ = nullptr; }
  http::DownstreamConnection* connection() const { return served_; }
  // A former connection's socket counts as well: nobody may take what it sends, or what the kernel holds.
  uint64_t taken() const { return left() || (served_ && unsent() > 0) ? bytes_taken() : UINT64_MAX; }
  void shed(Limit limit) { served_ ? served_->shed(limit) : cut(); }

  void set_client(const ClientTable::Key& client) {
    leave();
    family_ = client.family;
    network_ = client.network;
  }

 private:
  void leave() {
    if (family_ != AF_UNSPEC) door_.plan_.load->clients.leave({network_, family_});
  }

  sa_family_t family_ = AF_UNSPEC;  // a ClientTable::Key, without its padding
  uint64_t network_ = 0;
  Door& door_;
  http::DownstreamConnection* served_ = nullptr;
};

// An accepted connection of a proxy until its PROXY header is there. Owned by its door's list.
class Door::Greeting final : public net::Deferred, public ListHook {
 public:
  Greeting(Door& door, int descriptor, const net::Address& peer, std::unique_ptr<Place> place)
      : door_(door),
        peer_(peer),
        place_(std::move(place)),
        accepted_ms_(door.owner_.door_loop().now_ms()),
        receiver_(std::make_unique<net::ProxyReceiver>(door.owner_.door_loop(), descriptor,
                                                       door.settings_.header_timeout_ms, on_end, this)) {}
  uint64_t ripe_at_ms() const { return accepted_ms_ + WaitLists::rest_of_silence_ms(place_->quiet_ms); }
  // Its place is wanted and its grace is over. False: it may go.
  bool keeps_place() {
    return spared_.keeps(door_.moment(), [&] { return receiver_->input_waits(); });
  }
  void hurry() { receiver_->hurry(hurried_ms); }
  void cut() {
    receiver_.reset();
    place_.reset();
  }

 private:
  // A header comes with the first bytes: a door that closes does not wait longer for one.
  static constexpr uint64_t hurried_ms = 1'000;

  static void on_end(void* self, net::ProxyHeaderEnd end) { static_cast<Greeting*>(self)->ended(end); }
  void ended(net::ProxyHeaderEnd end) {
    bool good = end == net::ProxyHeaderEnd::good;
    if (end == net::ProxyHeaderEnd::malformed) {
      door_.plan_.load->count_bad_greeting();
      door_.owner_.refused(door_, peer_, reason::proxy_malformed, "no valid PROXY header");
    }
    if (end == net::ProxyHeaderEnd::timeout) {
      door_.owner_.limit_reached(Limit::header_timeout);
      door_.owner_.refused(door_, peer_, reason::proxy_malformed, "no PROXY header in header_timeout");
    }
    if (good) serve();
    cut();
    door_.greeting_over(*this);
  }

  void serve() {
    place_->quiet_ms = 0;  // it has spoken now
    const net::ProxyHeader& header = receiver_->header();
    net::Address client = peer_;
    if (header.kind == net::ProxyHeader::Kind::proxied) {
      client = header.source;
      ClientTable::Key key = door_.client_key(client);
      if (!door_.enter_client(key, client)) return;
      place_->set_client(key);
    }
    door_.begin(receiver_->release(), client, std::move(place_), accepted_ms_);
  }

  Door& door_;
  net::Address peer_;
  std::unique_ptr<Place> place_;
  uint64_t accepted_ms_;
  Spared spared_;
  std::unique_ptr<net::ProxyReceiver> receiver_;
};

// An accepted TLS connection until its handshake is over. Owned by its door's list.
class Door::Handshake final : public net::Deferred,
                              public ListHook,
                              private net::TlsHandshakeHandler,
                              private net::TransportHandler {
 public:
  // So long a door that closes waits for the next message of one that has begun.
  static constexpr uint64_t hurried_ms = 1'000;

  Handshake(Door& door, int descriptor, const net::Address& peer, std::unique_ptr<Place> place)
      : door_(door), peer_(peer), place_(*place) {
    const uint64_t rest_ms = WaitLists::rest_of_silence_ms(std::exchange(place->quiet_ms, 0));
    transport_ = door.tls_->accept(descriptor, peer, *this, WaitLists::silent_grace_ms - rest_ms);
    transport_->set_handler(this);
    transport_->hold(std::move(place));
  }
  net::Transport& transport() { return *transport_; }
  bool begun() const { return begun_; }
  // True once: it counts once as one of too many.
  bool waits_first_time() { return !std::exchange(waited_, true); }
  void cut() { transport_.reset(); }

 private:
  void on_handshake() override {
    auto transport = std::move(transport_);
    transport->set_handler(nullptr);
    Door& door = door_;
    door.serve(std::move(transport), door.owner_.door_loop().now_ms(), place_, context_.get());
    door.handshake_over(*this);
  }
  bool may_begin() override {
    begun_ = door_.admit_handshake(*this);
    if (begun_) context_ = door_.tls_context_;
    return begun_;
  }
  void on_read(std::span<const char>) override {}  // nothing is read before start_reading()
  void on_read_end() override {}
  void on_drained() override {}
  void on_error(const Error& error) override {
    if (error.limit != Limit::none) door_.owner_.limit_reached(error.limit);
    if (error.kind == ErrorKind::tls) door_.owner_.refused(door_, peer_, reason::tls_handshake, error.text);
    door_.handshake_over(*this);
  }

  Door& door_;
  net::Address peer_;
  Place& place_;  // the socket's, while transport_ is here
  std::unique_ptr<net::Transport> transport_;
  std::shared_ptr<const net::TlsServerContext> context_;  // whose certificates it shows
  bool begun_ = false;                                    // counted in max_handshakes
  bool waited_ = false;
};

}  // namespace penstock::server
