#include "upstream/fetch.h"

#include <algorithm>
#include <utility>

#include "base/reason.h"

namespace penstock::upstream {
namespace {

constexpr std::string_view user_agent = "penstock";
constexpr size_t first_room = 4 * 1024;  // of a body whose length is not told

std::span<const http::Field> copied(Arena& arena, std::span<const http::Field> fields) {
  std::span<http::Field> out = arena.make_array<http::Field>(fields.size());
  for (size_t i = 0; i < fields.size(); ++i)
    out[i] = {arena.copy(fields[i].name), arena.copy(fields[i].value), fields[i].id};
  return out;
}

}  // namespace

Fetch::Fetch(net::Loop& loop, Cluster& cluster, Done done, void* who)
    : Attempt(static_cast<http::StreamHandler&>(*this)),
      loop_(loop),
      cluster_(cluster),
      done_(done),
      who_(who),
      arena_(loop.blocks()),
      begun_ms_(loop.now_ms()),
      late_(loop, [](void* self) { static_cast<Fetch*>(self)->on_late(); }, this) {}

Fetch::~Fetch() { end(Outcome::neutral); }

void Fetch::copy(const FetchQuestion& question) {
  question_ = question;
  question_.method = arena_.copy(question.method);
  question_.authority = arena_.copy(question.authority);
  question_.path = arena_.copy(question.path);
  question_.query = arena_.copy(question.query);
  question_.fields = copied(arena_, question.fields);
  question_.body = arena_.copy(question.body);
}

void Fetch::start(const FetchQuestion& question) {
  copy(question);
  deadline_ms_ = loop_.now_ms() + question.timeout_ms;
  late_.start(question.timeout_ms);
  next_attempt();
}

void Fetch::next_attempt() {
  Endpoint* endpoint = cluster_.pick(tried_);
  if (!endpoint && question_.unresolved == FetchQuestion::Unresolved::wait && tried_.count() == 0) return;
  if (!endpoint) return fail(reason::upstream_no_healthy_endpoint);
  step_ = Step::asking;
  tried_.add(endpoint);
  ask_connection(!question_.body.empty());
  const uint64_t now = loop_.now_ms();
  const uint64_t left = deadline_ms_ > now ? deadline_ms_ - now : 1;
  stream_ = cluster_.acquire(*this, *endpoint, static_cast<uint32_t>(std::min<uint64_t>(left, UINT32_MAX)));
  if (stream_) ask();
}

// Only who waits for its first endpoint: everybody else has one, or was refused.
void Fetch::endpoints_changed() {
  if (step_ != Step::waiting) return;
  tried_ = {};
  next_attempt();
}

void Fetch::on_acquired(http::Stream& stream) {
  stream_ = &stream;
  ask();
}

void Fetch::on_acquire_failed(const Error& error) {
  cluster_.finish(*this, Outcome::neutral);
  if (error.kind == ErrorKind::unresolved && question_.unresolved == FetchQuestion::Unresolved::wait) {
    step_ = Step::waiting;
    return;
  }
  if (loop_.now_ms() >= deadline_ms_) return fail(fetch_timeout);
  if (tried_.count() < Tried::max && cluster_.pick(tried_)) return next_attempt();
  fail(reason_of(error), error.limit);
}

void Fetch::ask() {
  http::Message request(stream_->arena());
  request.method_text = question_.method;
  request.method = http::method_from(question_.method);
  request.authority = question_.authority;
  request.path = question_.path;
  request.query = question_.query;
  request.has_query = question_.has_query;
  for (const http::Field& field : question_.fields) request.headers.add(field.name, field.value);
  if (!request.headers.find(http::HeaderId::user_agent))
    request.headers.add(http::HeaderId::user_agent, user_agent);
  request.headers.set(http::HeaderId::accept_encoding, "identity");
  const bool body = !question_.body.empty() || request.method == http::Method::post;
  if (body) {
    request.body = http::BodyKind::length;
    request.has_content_length = true;
    request.content_length = question_.body.size();
  }
  // Any of these may find the connection gone, and then on_reset() has been.
  http::Stream* const stream = stream_;
  stream->send_head(request, body ? http::EndStream::no : http::EndStream::yes);
  if (body && stream_ == stream && !question_.body.empty()) stream->send_data(question_.body);
  if (body && stream_ == stream) stream->send_end();
  if (stream_ == stream) stream->flush();
}

// --- the answer ---

void Fetch::on_head(http::Message& head, http::EndStream end) {
  if (head.status == 101) return fail(reason::upstream_protocol, Limit::none, Outcome::failure);
  if (head.has_content_length && head.body == http::BodyKind::length &&
      head.content_length > question_.max_bytes)
    return fail(fetch_too_large);
  take_head(head);
  if (end == http::EndStream::yes) succeed();
}

void Fetch::take_head(const http::Message& head) {
  answer_.status = head.status;
  answer_.fields = copied(arena_, head.headers.fields());
  if (head.body == http::BodyKind::length) make_room(static_cast<size_t>(head.content_length));
}

bool Fetch::make_room(size_t more) {
  if (more > question_.max_bytes - body_size_) return false;
  const size_t wanted = body_size_ + more;
  if (wanted <= body_room_) return true;
  const size_t room =
      std::max(wanted, std::min<size_t>(std::max(first_room, 2 * body_room_), question_.max_bytes));
  body_ = static_cast<char*>(arena_.resize(body_, body_size_, room));
  body_room_ = room;
  return true;
}

void Fetch::on_data(std::string_view bytes) {
  if (step_ == Step::over) return;
  if (!make_room(bytes.size())) return fail(fetch_too_large);
  std::copy(bytes.begin(), bytes.end(), body_ + body_size_);
  body_size_ += bytes.size();
}

void Fetch::on_end() {
  if (step_ != Step::over) succeed();
}

// A connection that was gone says nothing about its endpoint, which may be the only one.
bool Fetch::may_repeat(const Error& error) const {
  if (repeated_ || answer_.status != 0 || stream_->any_byte_received()) return false;
  if (error.kind == ErrorKind::timeout || error.kind == ErrorKind::protocol) return false;
  if (!stream_->any_byte_sent() || error.retry == Retry::yes) return true;
  const bool harmless = question_.repeat == FetchQuestion::Repeat::harmless ||
                        http::idempotent(http::method_from(question_.method));
  return stream_->reused() && harmless;
}

void Fetch::on_reset(const Error& error) {
  const bool repeat = may_repeat(error);
  const bool stale = stream_->reused() && !stream_->any_byte_received();
  stream_ = nullptr;
  if (!repeat) return fail(reason_of(error), error.limit, stale ? Outcome::stale : Outcome::failure);
  cluster_.finish(*this, stale ? Outcome::stale : Outcome::neutral);
  repeated_ = true;
  tried_ = {};
  want_fresh(true);
  next_attempt();
}

void Fetch::on_late() { fail(fetch_timeout, Limit::none, stream_ ? Outcome::failure : Outcome::neutral); }

// --- its end: what is left is one task, outside of everybody's events ---

void Fetch::succeed() {
  answer_.body = {body_, body_size_};
  std::exchange(stream_, nullptr)->release();
  end(answer_.status >= 500 && answer_.status != 501 ? Outcome::failure : Outcome::success);
  loop_.schedule(*this);
}

void Fetch::fail(std::string_view why, Limit limit, Outcome outcome) {
  answer_ = {};
  answer_.reason = why;
  answer_.limit = limit;
  end(outcome);
  loop_.schedule(*this);
}

void Fetch::end(Outcome outcome) {
  step_ = Step::over;
  late_.stop();
  if (http::Stream* stream = std::exchange(stream_, nullptr)) stream->reset();
  if (endpoint()) cluster_.finish(*this, outcome);
}

}  // namespace penstock::upstream
