#include "upstream/connection_pool.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/reason.h"
#include "upstream/endpoint.h"

namespace penstock::upstream {
namespace {

Error unresolved_error() {
  return {ErrorKind::unresolved, ErrorSource::upstream, Retry::yes, reason::upstream_unresolved,
          "the endpoint's name has no address"};
}

// Nothing of the request was sent: it may go where requests go now.
Error retired_error() {
  return {ErrorKind::refused, ErrorSource::upstream, Retry::yes, reason::upstream_connect_refused,
          "the endpoint left the upstream before a connection was made"};
}

Error useless_error() {
  return {ErrorKind::refused, ErrorSource::upstream, Retry::yes, reason::upstream_connect_refused,
          "the new connection took no request"};
}

Error timeout_error() {
  return {ErrorKind::timeout, ErrorSource::upstream, Retry::yes, reason::upstream_connect_timeout,
          "no connection in time"};
}

// What every failed connect has in common, whatever the layers below say: no byte was sent.
Error connect_error(Error error) {
  error.source = ErrorSource::upstream;
  error.retry = Retry::yes;
  if (error.reason.empty())
    error.reason = error.kind == ErrorKind::timeout ? reason::upstream_connect_timeout
                                                    : reason::upstream_connect_refused;
  return error;
}

}  // namespace

// What the pool knows of a connection: its `context`, null once the pool has let it go.
struct ConnectionPool::Pooled {
  enum class Place : uint8_t { idle, busy } place;
  net::Address address;
  uint32_t epoch;
};

ConnectionPool::ConnectionPool(net::Loop& loop, Endpoint& endpoint, ClusterShared& shared)
    : loop_(loop),
      endpoint_(endpoint),
      shared_(shared),
      streams_each_(shared.streams_each),
      settings_seen_(shared.epoch),
      idle_timer_(loop, &ConnectionPool::on_idle_timer, this),
      wait_timer_(loop, &ConnectionPool::on_wait_timer, this) {}

ConnectionPool::~ConnectionPool() { assert(open() == 0 && waiting_ == 0 && connecting_count_ == 0); }

// --- attempts ---

http::Stream* ConnectionPool::acquire(Attempt& attempt, uint32_t connect_timeout_ms) {
  if (!next_waiter())
    if (http::Stream* stream = open_stream(attempt)) return stream;
  waiters_.push_back(attempt);
  ++waiting_;
  if (attempt.want_fresh_) ++waiting_fresh_;
  if (!may_connect()) connect_timeout_ms = 1;  // fails by the timer: never inside acquire()
  attempt.deadline_ms_ = loop_.now_ms() + std::max(1u, connect_timeout_ms);
  if (may_connect() && !connects_suffice()) start_connect(attempt.deadline_ms_);
  arm_wait_timer();
  return nullptr;
}

void ConnectionPool::cancel(Attempt& attempt) { take_waiter(attempt); }

Attempt& ConnectionPool::take_waiter(Attempt& attempt) {
  attempt.unlink();
  if (attempt.want_fresh_) --waiting_fresh_;
  if (--waiting_ == 0) wait_timer_.stop();
  return attempt;
}

void ConnectionPool::fail_waiter(Attempt& attempt, const Error& error) {
  take_waiter(attempt).acquire_ = Attempt::Acquire::failed;
  attempt.on_acquire_failed(error);
}

http::Stream* ConnectionPool::open_stream(Attempt& attempt) {
  if (!roomy_.empty())
    if (http::Stream* stream = open_shared(attempt)) return stream;
  return open_idle(attempt);
}

http::Stream* ConnectionPool::open_shared(Attempt& attempt) {
  while (http::UpstreamConnection* connection = roomy_.front()) {
    if (attempt.want_fresh_ && connection->idled) return nullptr;
    http::Stream* stream = connection->open(attempt.handler_);
    if (!stream || !connection->has_room()) busy_.push_back(*connection);
    if (stream) return stream;
  }
  return nullptr;
}

// One that takes many streams and has some, by whether it takes another.
void ConnectionPool::sort_in(http::UpstreamConnection& connection) {
  if (connection.has_room() && current(connection))
    roomy_.push_front(connection);
  else
    busy_.push_back(connection);
}

http::Stream* ConnectionPool::open_idle(Attempt& attempt) {
  if (attempt.want_fresh_ && (!idle_.front() || idle_.front()->idled)) return nullptr;
  while (http::UpstreamConnection* connection = idle_.pop_front()) {
    --idle_count_;
    busy_.push_back(*connection);
    ++busy_count_;
    static_cast<Pooled*>(connection->context)->place = Pooled::Place::busy;
    bool fit = !attempt.ask_connection_ || connection->quiet();
    if (http::Stream* stream = fit ? connection->open(attempt.handler_) : nullptr) {
      if (connection->many_streams) sort_in(*connection);
      return stream;
    }
    if (connection->context) discard(*connection);
  }
  return nullptr;
}

// The oldest that one of the connections in front will do for; null: no one. Few want a fresh one, so hardly
// ever is anybody passed over.
Attempt* ConnectionPool::next_waiter() {
  Attempt* oldest = waiters_.front();
  if (!oldest || (roomy_.empty() && idle_.empty())) return nullptr;
  auto does = [](const http::UpstreamConnection* connection) { return connection && !connection->idled; };
  if (!oldest->want_fresh_ || does(roomy_.front()) || does(idle_.front())) return oldest;
  if (waiting_fresh_ == waiting_) return nullptr;
  Attempt* found = nullptr;
  waiters_.for_each([&](Attempt& waiter) {
    if (!found && !waiter.want_fresh_) found = &waiter;
  });
  return found;
}

// Not entered twice: an attempt that gives its stream back inside on_acquired leaves the rest to the loop
// that called it, so the stack does not grow with the number of waiters.
void ConnectionPool::serve_waiters() {
  if (serving_) return;
  lend_to_waiters();
  connect_for_waiters();
  trim();
}

ConnectionPool::Lent ConnectionPool::lend_to_waiters() {
  Lent lent = Lent::unasked;
  serving_ = true;
  while (Attempt* waiter = next_waiter()) {
    http::Stream* stream = open_stream(*waiter);
    if (!stream && lent == Lent::unasked) lent = Lent::none;
    if (!stream) break;
    lent = Lent::some;
    take_waiter(*waiter).on_acquired(*stream);
  }
  serving_ = false;
  return lent;
}

// A connection that broke before it could be lent leaves a waiter without one in the making; one that takes
// fewer streams than was expected, several. Who waits where no connection may be made is picked anew.
void ConnectionPool::connect_for_waiters() {
  while (!connects_suffice() && may_connect()) start_connect(waiters_.back()->deadline_ms_);
  while (!connects_suffice()) fail_waiter(*waiters_.front(), no_connect_error());
}

Error ConnectionPool::no_connect_error() const {
  return keep_ == Keep::nothing ? retired_error() : unresolved_error();
}

void ConnectionPool::arm_wait_timer() {
  if (waiting_ == 0) return;
  uint64_t earliest = UINT64_MAX;
  // Only the newest is new; the timer is set for the others already.
  if (wait_timer_.running()) {
    earliest = waiters_.back()->deadline_ms_;
    if (earliest >= wait_deadline_ms_) return;
  } else {
    waiters_.for_each([&](Attempt& attempt) { earliest = std::min(earliest, attempt.deadline_ms_); });
  }
  wait_deadline_ms_ = earliest;
  uint64_t now = loop_.now_ms();
  wait_timer_.start(earliest > now ? earliest - now : 1);
}

void ConnectionPool::on_wait_timer(void* self) {
  auto& pool = *static_cast<ConnectionPool*>(self);
  uint64_t now = pool.loop_.now_ms();
  for (;;) {
    Attempt* late = nullptr;
    pool.waiters_.for_each([&](Attempt& attempt) {
      if (!late && attempt.deadline_ms_ <= now) late = &attempt;
    });
    if (!late) break;
    pool.fail_waiter(*late, pool.may_connect() ? timeout_error() : pool.no_connect_error());
  }
  pool.arm_wait_timer();
}

// --- connects ---

void ConnectionPool::start_connect(uint64_t deadline_ms) {
  ++connecting_count_;
  endpoint_.ref();
  connect_to(preferred_ % addresses_.size(), addresses_.size(), deadline_ms);
}

// Those for whom that connect was made, if none of the others is for them.
void ConnectionPool::fail_waiters(const Error& error) {
  for (uint32_t left = streams_each_; left > 0 && !connects_suffice(); --left)
    fail_waiter(*waiters_.front(), error);
}

void ConnectionPool::connect_to(size_t index, size_t addresses_left, uint64_t deadline_ms) {
  uint64_t now = loop_.now_ms();
  uint64_t time_left = deadline_ms > now ? deadline_ms - now : 1;
  auto connecting = std::make_unique<Connecting>();
  connecting->pool = this;
  connecting->address = addresses_[index];
  connecting->index = index;
  connecting->addresses_left = addresses_left;
  connecting->deadline_ms = deadline_ms;
  connecting->epoch = epoch_;
  // An address that does not answer must leave time for the others.
  connecting->pending = shared_.connector->connect(
      connecting->address, peer_, std::max<uint64_t>(1, time_left / addresses_left), *this,
      [](void* who, Result<std::unique_ptr<http::UpstreamConnection>> result) {
        auto& self = *static_cast<Connecting*>(who);
        self.pool->on_connected(self, std::move(result));
      },
      connecting.get());
  connecting_.push_back(*connecting.release());
}

void ConnectionPool::on_connected(Connecting& connecting,
                                  Result<std::unique_ptr<http::UpstreamConnection>> result) {
  connecting.unlink();
  loop_.defer_delete(std::unique_ptr<net::Deferred>(&connecting));
  bool another =
      !result && connecting.addresses_left > 1 && may_connect() && loop_.now_ms() < connecting.deadline_ms;
  if (another)
    return connect_to((connecting.index + 1) % addresses_.size(), connecting.addresses_left - 1,
                      connecting.deadline_ms);
  --connecting_count_;
  if (result) {
    preferred_ = connecting.index;
    adopt(std::move(*result), connecting);
  } else if (connecting.epoch != epoch_) {  // says nothing of what would be made now
    connect_for_waiters();
  } else {
    connect_failed(connect_error(result.error()));
  }
  endpoint_.unref();
}

void ConnectionPool::connect_failed(const Error& error) {
  if (error.limit == Limit::none && error.reason != reason::overload) {  // else it is our shortage
    endpoint_.count(Outcome::failure);
    ++shared_.connects.failures[error.reason];
  }
  fail_waiters(error);
}

// --- connections ---

void ConnectionPool::adopt(std::unique_ptr<http::UpstreamConnection> connection, const Connecting& made_by) {
  endpoint_.ref();
  connection->context = new Pooled{Pooled::Place::busy, made_by.address, made_by.epoch};
  ++busy_count_;
  http2_count_ += connection->many_streams;
  http::UpstreamConnection& made = *connection.release();  // deleted late
  if (!current(made)) {  // what it was made with, or its address, has changed meanwhile
    discard(made);
    return connect_for_waiters();
  }
  const uint32_t expected = std::exchange(streams_each_, std::max(1u, made.most_streams()));
  make_idle(made);
  if (lend_to_waiters() == Lent::none) {  // another one would do the same, for ever
    streams_each_ = expected;
    return connect_failed(useless_error());
  }
  connect_for_waiters();
  trim();
  // In its first exchange a connection is not a reused one: what becomes of it is its endpoint's doing.
  if (is_idle(made)) made.idled = true;
}

bool ConnectionPool::is_idle(const http::UpstreamConnection& connection) {
  auto* pooled = static_cast<const Pooled*>(connection.context);
  return pooled && pooled->place == Pooled::Place::idle;
}

void ConnectionPool::make_idle(http::UpstreamConnection& connection) {
  connection.unlink();
  --busy_count_;
  static_cast<Pooled*>(connection.context)->place = Pooled::Place::idle;
  connection.idle_since_ms = loop_.now_ms();
  idle_.push_front(connection);
  ++idle_count_;
}

void ConnectionPool::on_idle(http::UpstreamConnection& connection) {
  if (!connection.context) return;
  if (!current(connection)) return discard(connection);
  connection.idled = true;
  make_idle(connection);
  serve_waiters();
}

void ConnectionPool::on_room(http::UpstreamConnection& connection) {
  if (!connection.context) return;
  sort_in(connection);
  serve_waiters();
}

void ConnectionPool::on_closed(http::UpstreamConnection& connection) {
  if (connection.context) forget(connection);
}

void ConnectionPool::discard(http::UpstreamConnection& connection) {
  forget(connection);  // first: close() may report on_closed; deleted late, so it is still there
  connection.close();
}

// Takes a connection off the books; it is deleted late.
void ConnectionPool::forget(http::UpstreamConnection& connection) {
  auto* pooled = static_cast<Pooled*>(connection.context);
  connection.context = nullptr;
  connection.unlink();
  (pooled->place == Pooled::Place::idle ? idle_count_ : busy_count_)--;
  http2_count_ -= connection.many_streams;
  delete pooled;
  loop_.defer_delete(std::unique_ptr<net::Deferred>(&connection));
  endpoint_.unref();
}

void ConnectionPool::set_place(const std::string& host, const std::vector<net::Address>& addresses) {
  const bool renamed = host != peer_.host();
  if (addresses == addresses_ && !renamed) return;
  addresses_ = addresses;
  preferred_ = 0;
  peer_.set_host(host);
  if (renamed) ++epoch_;
  drop_outdated();
}

// Nobody gets a stream on what was made for other addresses or settings; what has some serves them out.
void ConnectionPool::drop_outdated() {
  idle_.for_each([&](http::UpstreamConnection& connection) {
    if (!current(connection)) discard(connection);
  });
  roomy_.for_each([&](http::UpstreamConnection& connection) {
    if (!current(connection)) busy_.push_back(connection);
  });
}

bool ConnectionPool::current(const http::UpstreamConnection& connection) const {
  auto* pooled = static_cast<const Pooled*>(connection.context);
  return pooled->epoch == epoch_ &&
         std::find(addresses_.begin(), addresses_.end(), pooled->address) != addresses_.end();
}

// Only those of HTTP/2 are looked at one by one: they are few where there are any.
ClusterUse ConnectionPool::use() {
  ClusterUse use;
  use.connections = {open() - http2_count_, http2_count_};
  use.waiting = waiting_;
  if (http2_count_ == 0) return use;
  for (auto* list : {&busy_, &roomy_})
    list->for_each([&](http::UpstreamConnection& connection) {
      if (connection.many_streams) use.http2_streams += connection.open_streams();
    });
  return use;
}

// --- limits ---

void ConnectionPool::trim() {
  uint32_t limit = keep_ == Keep::idle ? shared_.max_idle : 0;
  while (idle_count_ > limit) discard(*idle_.back());
  arm_idle_timer();
}

// A running timer is never touched here: it looks for itself what is left when it fires.
void ConnectionPool::arm_idle_timer() {
  if (idle_count_ == 0 || idle_timer_.running()) return;
  uint64_t end = idle_.back()->idle_since_ms + shared_.idle_timeout_ms;
  uint64_t now = loop_.now_ms();
  idle_timer_.start(end > now ? end - now : 1);
}

void ConnectionPool::on_idle_timer(void* self) {
  auto& pool = *static_cast<ConnectionPool*>(self);
  uint64_t now = pool.loop_.now_ms();
  while (pool.idle_count_ > 0 && pool.idle_.back()->idle_since_ms + pool.shared_.idle_timeout_ms <= now)
    pool.discard(*pool.idle_.back());
  pool.arm_idle_timer();
}

void ConnectionPool::apply_limits() {
  idle_timer_.stop();  // it may run for a longer idle_timeout
  if (settings_seen_ != shared_.epoch) {
    settings_seen_ = shared_.epoch;
    ++epoch_;
    streams_each_ = shared_.streams_each;
    drop_outdated();
  }
  trim();
}

void ConnectionPool::close_idle() {
  while (idle_count_ > 0) discard(*idle_.back());
}

// The least recently used come last.
void ConnectionPool::close_idle_since(uint64_t ms) {
  while (idle_count_ > 0 && idle_.back()->idle_since_ms <= ms) discard(*idle_.back());
}

void ConnectionPool::retire() {
  keep_ = Keep::nothing;
  trim();
}

void ConnectionPool::close_all() {
  assert(waiting_ == 0);
  retire();
  while (http::UpstreamConnection* connection = roomy_.empty() ? busy_.front() : roomy_.front())
    discard(*connection);
  while (Connecting* connecting = connecting_.pop_front()) {
    loop_.defer_delete(std::unique_ptr<net::Deferred>(connecting));
    --connecting_count_;
    connecting->pending.reset();
    endpoint_.unref();
  }
}

}  // namespace penstock::upstream
