#include "server/door.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "net/tcp_transport.h"

namespace penstock::server {
namespace {

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
  Place(Door& door, const ClientTable::Key& client) : door_(door), client_(client) {}
  ~Place() override {
    if (client_.family != AF_UNSPEC) door_.plan_.load->clients.leave(client_);
    door_.gave_back(*this);
  }

 private:
  Door& door_;
  ClientTable::Key client_;
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
    : owner_(owner),
      plan_(std::move(plan)),
      generation_(&generation),
      settings_(plan_.info->http),
      descriptor_mark_(descriptor_mark()) {
  acceptor_ =
      std::make_unique<net::Acceptor>(owner_.door_loop(), *plan_.socket, accepted, this, out_of_descriptors);
}

Door::~Door() { cut(); }

void Door::renew(DoorPlan plan, proxy::Generation& generation) {
  plan_ = std::move(plan);
  generation_ = &generation;
  settings_ = plan_.info->http;
  descriptor_mark_ = descriptor_mark();
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
  auto place = door.admit(descriptor, peer);
  if (!place) {
    ::close(descriptor);
    return;
  }
  door.owner_.connection_opened();
  door.places_.push_back(*place);
  if (door.plan_.info->tls) {
    auto* handshake = new Handshake(door, descriptor, peer);
    door.handshakes_.push_back(*handshake);
    handshake->transport().hold(std::move(place));
    handshake->transport().limit_sending(door.plan_.info->sending);
  } else {
    auto transport = net::make_tcp_transport(door.owner_.door_loop(), descriptor, peer);
    transport->hold(std::move(place));
    transport->limit_sending(door.plan_.info->sending);
    door.serve(std::move(transport));
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
  ClientTable::Key client;
  if (info.max_connections_per_client != 0 && !trusted(info, peer)) client = ClientTable::key_of(peer);
  if (client.family != AF_UNSPEC && !load.clients.enter(client, info.max_connections_per_client)) {
    owner_.limit_reached(Limit::max_connections_per_client);
    load.leave();
    load.count_refused();
    return nullptr;
  }
  return std::make_unique<Place>(*this, client);
}

bool Door::out_of_descriptors(void* door) { return static_cast<Door*>(door)->make_room(Limit::descriptors); }

// Closes the connections that wait longest for a request: idle ones, and heads that do not end. False: there
// are none.
bool Door::make_room(Limit limit) {
  owner_.limit_reached(limit);
  uint64_t now = owner_.door_loop().now_ms();
  if (now < no_room_until_ms_) return false;
  struct Waiting {
    uint64_t since;
    http::DownstreamConnection* connection;
  };
  std::array<Waiting, evicted_at_once> longest;  // a heap, the shortest wait on top
  size_t count = 0;
  auto later = [](const Waiting& a, const Waiting& b) { return a.since < b.since; };
  connections_.for_each([&](http::DownstreamConnection& connection) {
    uint64_t since = connection.waiting_since_ms();
    if (since == UINT64_MAX || since + least_wait_ms > now) return;
    if (count == longest.size()) {
      if (since >= longest.front().since) return;
      std::pop_heap(longest.begin(), longest.end(), later);
      --count;
    }
    longest[count++] = {since, &connection};
    std::push_heap(longest.begin(), longest.begin() + static_cast<std::ptrdiff_t>(count), later);
  });
  for (size_t i = 0; i < count; ++i) longest[i].connection->close();
  plan_.load->count_evicted(count);
  if (count == 0) no_room_until_ms_ = now + look_again_ms;
  return count > 0;
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
