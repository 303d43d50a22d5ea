#include "upstream/health/probe.h"

#include <algorithm>
#include <charconv>

namespace penstock::upstream {
namespace {

constexpr std::string_view user_agent = "penstock-health-check";
// The connector's own timeout: the probe's, which does not count what our loop takes, comes first.
constexpr uint64_t connector_grace_ms = 60'000;

bool among(const std::vector<StatusRange>& ranges, uint16_t status) {
  return std::ranges::any_of(
      ranges, [&](const StatusRange& range) { return status >= range.first && status <= range.last; });
}

// RFC 9110 8.3, and what gRPC makes of it: application/grpc, application/grpc+proto, with parameters.
bool is_grpc(std::string_view content_type) {
  constexpr std::string_view type = "application/grpc";
  if (!content_type.starts_with(type)) return false;
  content_type.remove_prefix(type.size());
  return content_type.empty() || content_type[0] == '+' || content_type[0] == ';';
}

std::optional<uint64_t> number_of(std::string_view text) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return number;
}

}  // namespace

Probe::Probe(net::Loop& loop, std::shared_ptr<const CheckPlan> plan, const std::string& name,
             const std::string& host, std::vector<net::Address> addresses, Done done, void* who)
    : loop_(loop),
      plan_(std::move(plan)),
      authority_(question().host.empty() ? name : question().host),
      peer_(host),
      addresses_(std::move(addresses)),
      done_(done),
      who_(who),
      ticks_left_(std::clamp(plan_->check.pace.timeout_ms / shortest_tick_ms, 1u, most_ticks)),
      tick_ms_(std::max(1u, plan_->check.pace.timeout_ms / ticks_left_)),
      search_(question().body),
      tick_(loop, [](void* self) { static_cast<Probe*>(self)->on_tick(); }, this) {
  if (question().port == 0) return;
  for (net::Address& address : addresses_) address.set_port(question().port);
}

Probe::~Probe() {
  cancel();
  over_ = true;
  if (http::Stream* stream = std::exchange(stream_, nullptr)) stream->reset();
  pending_.reset();
  if (connection_) connection_->close();
}

void Probe::start() {
  tick_.start(tick_ms_);
  connect();
}

void Probe::connect() {
  // An address that does not answer must leave time for the others.
  auto left = static_cast<uint32_t>(addresses_.size() - tried_);
  address_until_ = ticks_left_ - std::max(1u, ticks_left_ / left);
  pending_ = plan_->connector->connect(
      addresses_[tried_++], peer_, uint64_t{plan_->check.pace.timeout_ms} + connector_grace_ms, *this,
      [](void* who, Result<std::unique_ptr<http::UpstreamConnection>> result) {
        static_cast<Probe*>(who)->on_connected(std::move(result));
      },
      this);
}

// Not inside what the connector calls. When the time is over, it is.
void Probe::connect_later() {
  if (ticks_left_ == 0) return;
  next_ = Step::connect;
  loop_.schedule(*this);
}

void Probe::run_task() {
  if (over_) return;
  pending_.reset();
  if (next_ == Step::connect) return connect();
  finish({CheckResult::timeout, 0, connection_ ? "no answer in time" : "no connection in time"});
}

void Probe::on_tick() {
  if (over_) return;
  --ticks_left_;
  if (ticks_left_ == 0) {
    // An answer that has come while our loop was busy is read before.
    next_ = Step::give_up;
    return loop_.schedule_next_turn(*this);
  }
  tick_.start(tick_ms_);
  if (!connection_ && ticks_left_ <= address_until_ && tried_ < addresses_.size()) connect_later();
}

void Probe::on_connected(Result<std::unique_ptr<http::UpstreamConnection>> result) {
  if (over_) return;
  if (!result) {
    if (tried_ < addresses_.size()) return connect_later();
    return finish(report_of(result.error()));
  }
  connection_ = std::move(*result);
  if (question().kind == CheckKind::tcp) return finish({});
  ask();
}

void Probe::ask() {
  stream_ = connection_->open(*this);
  if (!stream_) return finish({CheckResult::closed, 0, "the connection took no request"});
  http::Message request(stream_->arena());
  request.authority = authority_;
  request.headers.add(http::HeaderId::user_agent, user_agent);
  question().kind == CheckKind::grpc ? ask_grpc(request) : ask_http(request);
}

void Probe::ask_http(http::Message& request) {
  request.method_text = question().method;
  request.method = http::method_from(question().method);
  request.path = question().path;
  request.query = question().query;
  request.has_query = question().has_query;
  for (const auto& [name, value] : question().headers) request.headers.set(name, value);
  stream_->send_head(request, http::EndStream::yes);
  stream_->flush();
}

void Probe::ask_grpc(http::Message& request) {
  request.method_text = "POST";
  request.method = http::Method::post;
  request.path = grpc_health::path;
  request.body = http::BodyKind::unknown;
  request.accepts_trailers = true;
  request.headers.add(http::HeaderId::content_type, "application/grpc");
  const std::string message = grpc_health::request(question().service);
  stream_->send_head(request, http::EndStream::no);
  stream_->send_data(message);
  stream_->send_end();
  stream_->flush();
}

// --- the answer ---

void Probe::on_head(http::Message& head, http::EndStream end) {
  const bool grpc = question().kind == CheckKind::grpc;
  if (grpc ? head.status != 200 : !among(question().status, head.status))
    return finish({CheckResult::status, head.status, {}});
  if (grpc && !is_grpc(head.headers.get(http::HeaderId::content_type)))
    return finish({CheckResult::malformed, 0, "its answer is not one of gRPC"});
  if (end == http::EndStream::no) return;
  trailers_ = &head.headers;  // of gRPC an answer without a message has its status here
  judge();
}

void Probe::on_data(std::string_view bytes) {
  body_bytes_ += bytes.size();
  if (question().kind == CheckKind::grpc) {
    if (!answer_.feed(bytes)) finish({CheckResult::malformed, 0, "its answer is no message of gRPC's"});
    return;
  }
  if (body_bytes_ > plan_->check.pace.body_size)
    return finish({CheckResult::over_limit, 0, "its answer is over health_check.body_size"});
  search_.feed(bytes);
}

void Probe::on_trailers(http::Headers& trailers) { trailers_ = &trailers; }

void Probe::on_reset(const Error& error) {
  stream_ = nullptr;
  finish(report_of(error));
}

void Probe::judge() {
  if (question().kind == CheckKind::http) return judge_http();
  if (!trailers_) return finish({CheckResult::malformed, 0, "its answer ends without a grpc-status"});
  judge_grpc(*trailers_);
}

void Probe::judge_http() {
  if (!search_.found())
    return finish({CheckResult::body, 0, "its answer does not have what health_check.body asks for"});
  finish({});
}

void Probe::judge_grpc(const http::Headers& trailers) {
  const http::Field* field = trailers.find("grpc-status");
  std::optional<uint64_t> code = field ? number_of(field->value) : std::nullopt;
  if (!code) return finish({CheckResult::malformed, 0, "its answer ends without a grpc-status"});
  if (*code != 0) return finish({CheckResult::grpc_status, *code, {}});
  std::optional<uint64_t> status = answer_.status();
  if (!status) return finish({CheckResult::malformed, 0, "its answer is no message of gRPC's"});
  if (*status != grpc_health::serving) return finish({CheckResult::not_serving, *status, {}});
  finish({});
}

void Probe::finish(const CheckReport& report) {
  if (std::exchange(over_, true)) return;
  cancel();
  tick_.stop();
  // What is not over is cut; the connection is closed with the probe, outside of its own events.
  if (http::Stream* stream = std::exchange(stream_, nullptr))
    report.result == CheckResult::passed ? stream->release() : stream->reset();
  if (Done done = std::exchange(done_, nullptr)) done(who_, report);
}

}  // namespace penstock::upstream
