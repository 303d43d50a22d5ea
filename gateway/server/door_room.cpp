// How newcomers get their places at a door: a free one, or that of a connection that waits for its client.
// One newcomer takes one place; where nobody's is to be had it is held, and the rest wait in the kernel's
// queue.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/reason.h"
#include "net/descriptor.h"
#include "server/door_parts.h"

namespace penstock::server {
namespace {

// A place may be given back, or somebody's grace be over, in another worker.
constexpr uint64_t look_again_ms = 100;
// A newcomer waits for a grace that is over so soon before it asks other workers: two doors that are both
// full would only take each other's places.
constexpr uint64_t soon_ms = 20;
// So long after somebody found no place newcomers are asked how long they were silent: all of them, so that
// they stand in the order in which their graces are over.
constexpr uint64_t crowded_ms = 1'000;
constexpr int most_greetings_asked = 4;  // in one look
// Whose grace was over and who was spared is read by then.
constexpr uint64_t next_look_ms = 10;
// A newcomer that still waits asks for a place again before this is over.
constexpr uint64_t claim_ms = 3 * look_again_ms;
// So often, while a newcomer waits, it is looked at what clients take of their answers.
constexpr uint64_t look_at_readers_ms = 500;

// Its request may lie in the kernel while nobody here knows of it.
bool has_sent(const http::DownstreamConnection& connection) {
  return connection.place && connection.place->input_waits();
}

}  // namespace

// True: it is this door's now. False: it still has to wait.
bool Door::let_in(Newcomer& newcomer) {
  if (!low_descriptor(newcomer) || !enter(newcomer)) return false;
  owner_.connection_opened();
  static_assert(sizeof(Place) <= 72);  // one for each connection
  auto place = std::make_unique<Place>(*this);
  places_.push_back(*place);
  place->set_client(newcomer.client);
  const uint64_t now = owner_.door_loop().now_ms();
  if (crowded_until_ms_ > now && !closed()) place->quiet_ms = net::quiet_ms(newcomer.descriptor);
  // From others a PROXY header is what it looks like: a request that is none.
  if (plan_.info->client_address == config::ClientAddress::proxy_protocol &&
      trusted(*plan_.info, newcomer.peer)) {
    auto* greeting = new Greeting(*this, newcomer.descriptor, newcomer.peer, std::move(place));
    greetings_.push_back(*greeting);
    if (closed()) greeting->hurry();
  } else {
    begin(newcomer.descriptor, newcomer.peer, std::move(place), now);
  }
  return true;
}

ClientTable::Key Door::client_key(const net::Address& client) const {
  return plan_.info->max_connections_per_client > 0 ? ClientTable::key_of(client) : ClientTable::Key{};
}

// False: this client has its most.
bool Door::enter_client(const ClientTable::Key& client, const net::Address& address) {
  if (client.family == AF_UNSPEC) return true;
  if (plan_.load->clients.enter(client, plan_.info->max_connections_per_client)) return true;
  owner_.limit_reached(Limit::max_connections_per_client);
  owner_.refused(*this, address, reason::client_connections, "max_connections_per_client is reached");
  plan_.load->count_refused();
  return false;
}

// One that was held has the number of a time in which more were open.
bool Door::low_descriptor(Newcomer& newcomer) {
  if (newcomer.descriptor < descriptor_mark_) return true;
  if (newcomer.missing != Limit::none && move_down(newcomer)) return true;
  // The number that was given back is this one's: the next newcomer would take it unasked.
  return make_room(newcomer, Limit::descriptors) && move_down(newcomer);
}

bool Door::move_down(Newcomer& newcomer) const {
  int lowest = ::fcntl(newcomer.descriptor, F_DUPFD_CLOEXEC, 0);
  if (lowest >= 0) ::close(std::max(lowest, newcomer.descriptor));
  if (lowest >= 0) newcomer.descriptor = std::min(lowest, newcomer.descriptor);
  return newcomer.descriptor < descriptor_mark_;
}

bool Door::enter(Newcomer& newcomer) {
  if (std::exchange(given_, false)) return true;
  const uint32_t most = plan_.info->max_connections;
  if (plan_.load->enter(most)) return true;
  // The first place may be another worker's: then the second is not.
  const bool shared = claim_.next && claim_.until_ms > owner_.door_loop().now_ms();
  for (int tries = shared ? 2 : 1; tries > 0; --tries) {
    if (!make_room(newcomer, Limit::max_connections)) return false;
    if (plan_.load->enter(most)) return true;
  }
  return false;
}

// Each newcomer counts once.
bool Door::make_room(Newcomer& newcomer, Limit limit) {
  if (newcomer.missing == Limit::none) owner_.limit_reached(limit);
  newcomer.missing = limit;
  const uint64_t now = owner_.door_loop().now_ms();
  crowded_until_ms_ = now + crowded_ms;
  const Room room = evict_one(limit);
  if (room <= Room::soon) return room == Room::now;
  const bool soon = room == Room::later || ripe_at_ms() <= now + soon_ms;
  if (!soon || std::exchange(newcomer.waited_for_own, true)) owner_.room_wanted(*this, limit);
  return false;
}

// Whose header has come is spared as everybody is.
bool Door::give_up_greeting(uint64_t now) {
  for (int asks = 0; asks < most_greetings_asked; ++asks) {
    Greeting* greeting = greetings_.front();
    if (!greeting || greeting->ripe_at_ms() > now) return false;
    if (!greeting->keeps_place()) {
      greeting->cut();
      greeting_over(*greeting);
      return true;
    }
    greetings_.push_back(*greeting);
  }
  return false;
}

// Who says nothing goes before who says it slowly, and both before the idle, who owe nothing. When there is
// no such, it is a body that comes too slowly, then who does not take its answer, and a call in which nobody
// says anything; requests that wait for us keep their places.
Door::Room Door::evict_one(Limit limit) {
  const uint64_t now = owner_.door_loop().now_ms();
  const uint64_t silent_since = now - std::min(now, WaitLists::silent_grace_ms);
  const uint64_t begun_since = now - std::min(now, WaitLists::slow_head_grace_ms);  // some round trips
  Room room = Room::now;
  WaitLists::Longest waiting;
  if (give_up_greeting(now)) {
    // its place is free
  } else if (tls_ && tls_->give_up_oldest(silent_since, begun_since)) {
    room = Room::soon;
  } else if (waiting = waits_.longest(moment(), has_sent); waiting.connection) {
    waiting.connection->shed(limit);
  } else if (waiting.asked_out) {
    return Room::later;  // they are served now, and then somebody is idle
  } else if (http::DownstreamConnection* body = waits_.slowest_body(now)) {
    body->shed(limit);
  } else if (Place* reader = slow_reader(now)) {
    reader->shed(limit);
  } else if (http::DownstreamConnection* call = waits_.quietest_call(now)) {
    call->shed(limit);
  } else {
    return Room::none;
  }
  plan_.load->count_evicted(1);
  return room;
}

// Clients that do not take their answers, after everybody else: slow_readers.h. Those that ended their side
// are asked at the same time whether they are still there.
Door::Place* Door::slow_reader(uint64_t now) {
  const uint32_t rate = plan_.info->sending.min_rate;
  if (now >= readers_looked_ms_ + look_at_readers_ms) {
    readers_looked_ms_ = now;
    places_.for_each([&](net::Place& each) {
      auto& place = static_cast<Place&>(each);
      slow_readers_.look(place, now, rate);
      if (place.connection()) place.connection()->probe();  // may end it
    });
  }
  return slow_readers_.slowest(now, rate);
}

bool Door::out_of_descriptors(void* self) {
  Door& door = *static_cast<Door*>(self);
  door.owner_.limit_reached(Limit::descriptors);
  const Room room = door.evict_one(Limit::descriptors);
  if (room > Room::soon) door.owner_.room_wanted(door, Limit::descriptors);
  return room == Room::now;
}

// Not for those that are held here: they have descriptors of their own.
bool Door::free_descriptor() { return !closed() && evict_one(Limit::descriptors) <= Room::soon; }

bool Door::make_room_elsewhere(Limit limit, uint32_t worker) {
  if (closed()) return false;
  if (limit == Limit::descriptors) return free_descriptor();
  if (plan_.load->enter(plan_.info->max_connections)) {
    owner_.hand_over(*this, worker);
    return true;
  }
  const uint64_t now = owner_.door_loop().now_ms();
  if (claim_.until_ms > now && claim_.worker != worker) return false;
  claim_.worker = worker;
  claim_.until_ms = now + claim_ms;
  if (newcomer_) return false;
  claim_.next = true;  // nobody here wants the place
  return evict_one(limit) <= Room::soon;
}

// Of a place that comes back here. One over max_connections (a reload) is nobody's.
bool Door::give_to_claim() {
  if (claim_.until_ms <= owner_.door_loop().now_ms()) return false;
  if (closed() || plan_.load->connections() > plan_.info->max_connections) return false;
  if (!std::exchange(claim_.next, !claim_.next)) return false;
  claim_.until_ms = 0;
  owner_.hand_over(*this, claim_.worker);
  return true;
}

void Door::take_place(const std::shared_ptr<ListenerLoad>& load) {
  given_ = load == plan_.load;
  if (given_) look_again();
  if (load != plan_.load || std::exchange(given_, false)) load->leave();  // nobody waits any more
}

void Door::hold(const Newcomer& newcomer) {
  newcomer_ = newcomer;
  acceptor_->pause();
  look_later();
}

void Door::turn_away(const Newcomer& newcomer) {
  if (newcomer.client.family != AF_UNSPEC) plan_.load->clients.leave(newcomer.client);
  plan_.load->count_refused();
  ::close(newcomer.descriptor);
}

// A place was given back, or it is time.
void Door::look_again() {
  if (!newcomer_) return;
  if (!let_in(*newcomer_)) return look_later();
  newcomer_.reset();
  timer_.stop();
  acceptor_->resume();
}

// When somebody's grace is over next.
uint64_t Door::ripe_at_ms() {
  uint64_t ripe = waits_.ripe_at_ms();
  if (Greeting* greeting = greetings_.front()) ripe = std::min(ripe, greeting->ripe_at_ms());
  if (tls_) {
    ripe = std::min(ripe, WaitLists::after(tls_->silent_since_ms(), WaitLists::silent_grace_ms));
    ripe = std::min(ripe, WaitLists::after(tls_->begun_since_ms(), WaitLists::slow_head_grace_ms));
  }
  return ripe;
}

void Door::look_later() {
  const uint64_t now = owner_.door_loop().now_ms(), ripe = ripe_at_ms();
  timer_.start(ripe > now ? std::min(ripe - now, look_again_ms) : next_look_ms);
}

}  // namespace penstock::server
