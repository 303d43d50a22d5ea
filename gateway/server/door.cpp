#include "server/door.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "net/proxy_receiver.h"
#include "net/tcp_transport.h"

namespace penstock::server {
namespace {

// To a client that speaks plain HTTP on a TLS port.
constexpr std::string_view plain_answer =
    "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 46\r\nconnection: close\r\n\r\n"
    "This port speaks TLS: the address is https://\n";

// A connection that waits for a request shorter than this may have one on the way to us.
constexpr uint64_t least_wait_ms = 1'000;
// So many make room at once, so that a flood of new ones does not look through all the others for each.
constexpr size_t evicted_at_once = 32;
constexpr uint64_t look_again_ms = 100;

// Descriptors have the lowest number that is free, so their number says how many there are. The last eighth
// (at most 256) is for connections to backends, logs and reloads.
int descriptor_mark() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return INT32_MAX;
  rlim_t most = std::min<rlim_t>(files.rlim_cur, INT32_MAX);
  return static_cast<int>(most - std::min<rlim_t>(most / 8, 256));
}

bool trusted(const proxy::ListenerInfo& info, const net::Address& address) {
  return std::ranges::any_of(info.trusted_proxies,
                             [&](const net::Cidr& block) { return block.contains(address); });
}

}  // namespace

// A connection's share of max_connections, and of its client's.
class Door::Place final : public net::Place {
 public:
  explicit Place(Door& door) : door_(door) {}
  ~Place() override {
    if (client_.family != AF_UNSPEC) door_.plan_.load->clients.leave(client_);
    door_.gave_back(*this);
  }

  void set_client(const ClientTable::Key& client) { client_ = client; }

 private:
  Door& door_;
  ClientTable::Key client_;
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
    if (end == net::ProxyHeaderEnd::malformed) door_.plan_.load->count_bad_greeting();
    if (end == net::ProxyHeaderEnd::timeout) door_.owner_.limit_reached(Limit::header_timeout);
    bool proxied = good && receiver_->header().kind == net::ProxyHeader::Kind::proxied;
    net::Address client = proxied ? receiver_->header().source : peer_;
    if (good && (!proxied || door_.count_client(*place_, client)))
      door_.begin(receiver_->release(), client, std::move(place_), accepted_ms_);
    cut();
    door_.greeting_over(*this);
  }

  Door& door_;
  net::Address peer_;
  std::unique_ptr<Place> place_;
  uint64_t accepted_ms_;
  std::unique_ptr<net::ProxyReceiver> receiver_;
};

// An accepted TLS connection until its handshake is over. Owned by its door's list.
class Door::Handshake final : public net::Deferred,
                              public ListHook,
                              private net::TlsHandshakeHandler,
                              private net::TransportHandler {
 public:
  Handshake(Door& door, int descriptor, const net::Address& peer) : door_(door) {
    transport_ = door.tls_->accept(descriptor, peer, *this);
    transport_->set_handler(this);
  }
  net::Transport& transport() { return *transport_; }
  void cut() { transport_.reset(); }

 private:
  void on_handshake() override {
    auto transport = std::move(transport_);
    transport->set_handler(nullptr);
    Door& door = door_;
    door.serve(std::move(transport), door.owner_.door_loop().now_ms());
    door.handshake_over(*this);
  }
  void on_read(std::span<const char>) override {}  // nothing is read before start_reading()
  void on_read_end() override {}
  void on_drained() override {}
  void on_error(const Error& error) override {
    if (error.limit != Limit::none) door_.owner_.limit_reached(error.limit);
    door_.handshake_over(*this);
  }

  Door& door_;
  std::unique_ptr<net::Transport> transport_;
};

Door::Door(DoorOwner& owner, DoorPlan plan, proxy::Generation& generation)
    : owner_(owner),
      plan_(std::move(plan)),
      generation_(&generation),
      settings_(plan_.info->http),
      descriptor_mark_(descriptor_mark()) {
  if (plan_.info->tls) tls_ = std::make_unique<net::TlsServer>(owner_.door_loop(), tls_settings());
  serve_tls(std::move(plan_.tls));
  acceptor_ =
      std::make_unique<net::Acceptor>(owner_.door_loop(), *plan_.socket, accepted, this, out_of_descriptors);
}

Door::~Door() { cut(); }

void Door::renew(DoorPlan plan, proxy::Generation& generation) {
  plan_ = std::move(plan);
  generation_ = &generation;
  settings_ = plan_.info->http;
  descriptor_mark_ = descriptor_mark();
  if (tls_) tls_->set(tls_settings());
  serve_tls(std::move(plan_.tls));
}

net::TlsServer::Settings Door::tls_settings() const {
  return {.handshake_timeout_ms = plan_.info->handshake_timeout_ms, .plain_answer = plain_answer};
}

void Door::serve_tls(TlsServing tls) {
  if (tls_) tls_->serve(std::move(tls.context), std::move(tls.tickets));
}

void Door::close(uint32_t idle_grace_ms) {
  idle_grace_ms_ = idle_grace_ms;
  if (acceptor_) {
    acceptor_->drain_queue();
    acceptor_.reset();
    plan_.socket.reset();
  }
  greetings_.for_each([](Greeting& greeting) { greeting.hurry(); });
  connections_.for_each([&](http::DownstreamConnection& connection) { connection.drain(idle_grace_ms); });
  report_if_empty();
}

void Door::cut() {
  acceptor_.reset();
  plan_.socket.reset();
  while (Greeting* greeting = greetings_.front()) {
    greeting->cut();
    greeting_over(*greeting);
  }
  while (Handshake* handshake = handshakes_.front()) {
    handshake->cut();
    handshake_over(*handshake);
  }
  connections_.for_each([](http::DownstreamConnection& connection) { connection.close(); });
  places_.for_each([](net::Place& place) { place.cut(); });
}

void Door::accepted(void* self, int descriptor, const net::Address& peer) {
  Door& door = *static_cast<Door*>(self);
  auto place = door.admit(descriptor, peer);
  if (!place) {
    ::close(descriptor);
    return;
  }
  const proxy::ListenerInfo& info = *door.plan_.info;
  // From others a PROXY header is what it looks like: a request that is none.
  if (info.client_address == config::ClientAddress::proxy_protocol && trusted(info, peer))
    door.greetings_.push_back(*new Greeting(door, descriptor, peer, std::move(place)));
  else
    door.begin(descriptor, peer, std::move(place), door.owner_.door_loop().now_ms());
}

void Door::begin(int descriptor, const net::Address& peer, std::unique_ptr<Place> place,
                 uint64_t accepted_ms) {
  const proxy::ListenerInfo& info = *plan_.info;
  if (tls_) {
    if (!admit_handshake()) {
      ::close(descriptor);
      return;
    }
    auto* handshake = new Handshake(*this, descriptor, peer);
    handshakes_.push_back(*handshake);
    handshake->transport().hold(std::move(place));
    handshake->transport().limit_sending(info.sending);
  } else {
    auto transport = net::make_tcp_transport(owner_.door_loop(), descriptor, peer);
    transport->hold(std::move(place));
    transport->limit_sending(info.sending);
    serve(std::move(transport), accepted_ms);
  }
}

// A place, or null: refused and counted.
std::unique_ptr<Door::Place> Door::admit(int descriptor, const net::Address& peer) {
  const proxy::ListenerInfo& info = *plan_.info;
  ListenerLoad& load = *plan_.load;
  if (descriptor >= descriptor_mark_ && !make_room(Limit::descriptors)) {
    load.count_refused();
    return nullptr;
  }
  if (!load.enter(info.max_connections) &&
      !(make_room(Limit::max_connections) && load.enter(info.max_connections))) {
    load.count_refused();
    return nullptr;
  }
  owner_.connection_opened();
  auto place = std::make_unique<Place>(*this);
  places_.push_back(*place);
  if (!trusted(info, peer) && !count_client(*place, peer)) return nullptr;
  return place;
}

// False: this client has its most.
bool Door::count_client(Place& place, const net::Address& client) {
  uint32_t most = plan_.info->max_connections_per_client;
  ClientTable::Key key = ClientTable::key_of(client);
  if (most == 0 || key.family == AF_UNSPEC) return true;
  if (plan_.load->clients.enter(key, most)) {
    place.set_client(key);
    return true;
  }
  owner_.limit_reached(Limit::max_connections_per_client);
  plan_.load->count_refused();
  return false;
}

bool Door::out_of_descriptors(void* door) { return static_cast<Door*>(door)->make_room(Limit::descriptors); }

// The connections that are silent longest, when nobody is to be silent so long.
class Door::Silent {
 public:
  explicit Silent(uint64_t now_ms) : now_ms_(now_ms) {}

  void look(http::DownstreamConnection& connection, uint64_t since_ms) {
    if (since_ms == UINT64_MAX || since_ms + least_wait_ms > now_ms_) return;
    if (count_ == longest_.size()) {
      if (since_ms >= longest_.front().since_ms) return;
      std::pop_heap(longest_.begin(), longest_.end(), later);
      --count_;
    }
    longest_[count_++] = {since_ms, &connection};
    std::push_heap(longest_.begin(), longest_.begin() + static_cast<std::ptrdiff_t>(count_), later);
  }
  std::span<http::DownstreamConnection* const> longest() {
    for (size_t i = 0; i < count_; ++i) connections_[i] = longest_[i].connection;
    return {connections_.data(), count_};
  }

 private:
  struct One {
    uint64_t since_ms;
    http::DownstreamConnection* connection;
  };
  static bool later(const One& a, const One& b) { return a.since_ms < b.since_ms; }

  uint64_t now_ms_;
  std::array<One, evicted_at_once> longest_;  // a heap, the shortest silence on top
  std::array<http::DownstreamConnection*, evicted_at_once> connections_;
  size_t count_ = 0;
};

// Closes the connections that wait longest for a request: idle ones, and heads that do not end; where there
// are none, those whose body pauses longest. False: there are none of these either.
bool Door::make_room(Limit limit) {
  owner_.limit_reached(limit);
  uint64_t now = owner_.door_loop().now_ms();
  if (now < no_room_until_ms_) return false;
  Silent waiting(now), bodies(now);
  connections_.for_each([&](http::DownstreamConnection& connection) {
    waiting.look(connection, connection.waiting_since_ms());
    bodies.look(connection, connection.body_silent_since_ms());
  });
  size_t evicted = waiting.longest().size();
  for (http::DownstreamConnection* connection : waiting.longest()) connection->close();
  bool room = evicted > 0;
  // Clients that are silent before their handshake is over go next; their places are free after this turn.
  while (!room && tls_ && evicted < evicted_at_once && tls_->give_up_oldest()) ++evicted;
  if (evicted == 0) {
    evicted = bodies.longest().size();
    for (http::DownstreamConnection* connection : bodies.longest()) connection->shed(limit);
    room = evicted > 0;
  }
  plan_.load->count_evicted(evicted);
  if (evicted == 0) no_room_until_ms_ = now + look_again_ms;
  return room;
}

// Silent clients must not keep others out: past max_handshakes the oldest that waits for its client makes
// room. When all of them wait for us instead, one more would only make it worse.
bool Door::admit_handshake() {
  if (plan_.load->begin_handshake() <= plan_.info->max_handshakes) return true;
  owner_.limit_reached(Limit::max_handshakes);
  if (tls_->give_up_oldest() || handshakes_.empty()) return true;
  plan_.load->end_handshake();
  tls_->counters.count(net::TlsFailure::refused);
  return false;
}

void Door::serve(std::unique_ptr<net::Transport> transport, uint64_t accepted_ms) {
  auto connection = http::make_http1_downstream(owner_.door_loop(), std::move(transport), settings_,
                                                owner_.downstream_owner());
  connection->context = this;
  auto& served = *connection.release();
  if (accepted_ms < owner_.door_loop().now_ms()) served.count_wait_from(accepted_ms);
  connections_.push_back(served);
  if (closed()) served.drain(idle_grace_ms_);  // its handshake was over too late
}

void Door::left(http::DownstreamConnection& connection) {
  connection.unlink();
  owner_.door_loop().defer_delete(std::unique_ptr<net::Deferred>(&connection));
  report_if_empty();
}

void Door::greeting_over(Greeting& greeting) {
  greeting.unlink();
  owner_.door_loop().defer_delete(std::unique_ptr<net::Deferred>(&greeting));
  report_if_empty();
}

void Door::handshake_over(Handshake& handshake) {
  plan_.load->end_handshake();
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
