// Calls of gRPC and gRPC-Web: their deadline, and how refusals, cut answers and trailers look to their
// clients.
#include <algorithm>
#include <array>
#include <charconv>

#include "base/reason.h"
#include "proxy/exchange_state.h"

namespace penstock::proxy {
namespace {

// Bytes that become base64, or are read from it, at once; on the stack.
constexpr size_t piece_size = 6 * 1024;

// "the gateway answers with HTTP 308", as gRPC's own libraries say of a status that is none of theirs.
std::string_view http_status_text(Arena& arena, uint16_t status) {
  std::array<char, 5> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), status).ptr;
  return arena.join("the gateway answers with HTTP ", std::string_view(digits.data(), end));
}

// Of a head that is trailers, too: what HTTP has in heads, not what the call says at its end.
bool of_http(const http::Field& field) {
  return field.id != http::HeaderId::other || field.name.starts_with("access-control-") ||
         field.name == "alt-svc" || field.name == "grpc-encoding" || field.name == "grpc-accept-encoding";
}

}  // namespace

// Once the route is known, before a byte of the body comes.
void Exchange::begin_web() {
  const Route* route = context_->route;
  if (!route || route->config->grpc_web == config::Route::GrpcWeb::kept) return;
  web_ = context_->arena.make<GrpcWeb>();
  web_->asks = context_->grpc;
  web_->answers = grpc::answer_kind(context_->request, context_->grpc);
}

// Of what grpc-timeout gave it, from its head on; UINT64_MAX: nothing is said of that.
uint64_t Exchange::call_time_left_ms() const {
  if (context_->grpc == Grpc::none) return UINT64_MAX;
  const std::optional<uint64_t> timeout = grpc::timeout_ms(context_->request.headers);
  if (!timeout) return UINT64_MAX;
  const uint64_t passed = (worker_.loop.now_ns() - start_ns_) / 1'000'000;
  return *timeout - std::min(*timeout, passed);
}

// What the route granted goes upstream. False: its time is over, and it was answered.
bool Exchange::prepare_call() {
  http::Message& head = context_->request;
  if (web_) to_grpc(head, web_->asks);
  const uint64_t left = call_time_left_ms();
  if (left == UINT64_MAX) return true;
  if (left == 0) {
    end_call_in_time();
    return false;
  }
  call_timeout_ms_ = *grpc::timeout_ms(head.headers);
  const uint64_t deadline = worker_.loop.now_ms() + left;
  if (total_deadline_ms_ && total_deadline_ms_ <= deadline) return true;
  total_deadline_ms_ = deadline;
  deadline_is_clients_ = true;
  return true;
}

void Exchange::end_call_in_time() { refuse_and_answer(reason::request_deadline, "the call's time is over"); }

// A backend that is asked later, or by a route that waits for less, is told what is left, as the next hop of
// a call is; as the client has sent it, it stays otherwise.
void Exchange::tell_time_left() {
  const uint64_t now = worker_.loop.now_ms();
  const uint64_t left = std::max<uint64_t>(1, total_deadline_ms_ - std::min(now, total_deadline_ms_));
  if (left >= call_timeout_ms_) return;
  context_->request.headers.set(grpc::timeout_field, grpc::timeout_text(context_->arena, left));
}

// --- gRPC-Web's request ---

bool Exchange::request_is_text() const { return web_ && web_->asks == Grpc::web_text; }

void Exchange::request_text(std::string_view text) {
  char bytes[piece_size];
  while (!over() && !text.empty()) {
    const Base64Reader::Read read = web_->reader.read(text, bytes);
    text.remove_prefix(read.taken);
    if (!read.good) return refuse_text();
    if (read.made > 0) pass_request({bytes, read.made});
    if (!over() && up_) up_->flush();  // what was lent is gone with this function
  }
}

void Exchange::refuse_text() {
  if (head_sent_) return cut(reason::request_malformed);
  drop_attempt(upstream::Outcome::neutral);
  refuse_and_answer(reason::request_malformed, "the body is not base64");
}

// --- the answer ---

// `end`: a trailers-only answer, whose head has what trailers have.
void Exchange::take_call_head(http::Message& head, http::EndStream end) {
  http::Headers& headers = head.headers;
  if (end == http::EndStream::yes) context_->grpc_status = grpc::status_in(headers);
  const std::string_view type = headers.get(http::HeaderId::content_type);
  if (!web_ || !grpc::is_grpc(type) || head.status != 200) return;
  web_->translates = true;
  Arena& arena = context_->arena;
  std::string_view format = grpc::format_of(type);
  if (format.empty())  // then it is what was asked for
    format = grpc::format_of(context_->request.headers.get(http::HeaderId::content_type));
  headers.set(http::HeaderId::content_type, grpc::content_type(arena, web_->answers, format));
  head.body = http::BodyKind::unknown;
  head.has_content_length = false;
  if (end == http::EndStream::no) return;
  // Scripts of other origins see no field of the head that is not exposed to them; the frame they do.
  auto* ending = arena.make<http::Headers>(arena);
  headers.remove_if([ending](const http::Field& field) {
    if (of_http(field)) return false;
    ending->add(field.name, field.value);
    return true;
  });
  web_->ending = ending;
}

void Exchange::send_translated(std::string_view bytes) {
  if (web_->answers == Grpc::web) {
    context_->response_body_bytes += bytes.size();
    down_->send_data(bytes);
    return;
  }
  char text[base64_size(piece_size)];
  while (down_ && !bytes.empty()) {
    const std::string_view piece = bytes.substr(0, piece_size);
    bytes.remove_prefix(piece.size());
    write_base64(piece, text);
    context_->response_body_bytes += base64_size(piece.size());
    down_->send_data({text, base64_size(piece.size())});
    down_->flush();
  }
}

void Exchange::end_translated(const http::Headers& trailers) {
  send_translated(trailer_frame(context_->arena, trailers));
  if (down_) down_->send_end();
}

// The end of a backend's answer, whose trailers, if it has any, may be passed on.
void Exchange::end_call() {
  const http::Headers* said = context_->response_trailers;
  if (said) context_->grpc_status = grpc::status_in(*said);
  if (!web_ || !web_->translates) return end_answer();
  if (!web_->answer.at_end()) return cut(reason::upstream_protocol);
  if (const http::Headers* trailers = said ? said : web_->ending)
    end_translated(*trailers);
  else
    down_->send_end();  // without a status: the client's library says what that is
}

// An answer that cannot be completed. The client is told why by its status; a message that is cut in two is
// no message to it. False: that cannot be said, as where trailers would become the rest of such a message.
bool Exchange::end_call_with(std::string_view reason) {
  const http::Message* head = context_->response;
  const bool by_frame = web_ && web_->translates;
  if (!down_ || !head || head->body != http::BodyKind::unknown) return false;
  if (by_frame && !web_->answer.at_end()) return false;
  if (!by_frame && !grpc::is_grpc(head->headers.get(http::HeaderId::content_type))) return false;
  Arena& arena = context_->arena;
  auto* trailers = arena.make<http::Headers>(arena);
  add_status(*trailers, status_for(status_of(reason), reason), reason, {});
  by_frame ? end_translated(*trailers) : down_->send_trailers(*trailers);
  if (down_) down_->flush();
  return true;
}

// What the backend reset the call for says more than our reason, when it is that.
GrpcStatus Exchange::status_for(uint16_t http_status, std::string_view reason) const {
  const GrpcStatus status = grpc_status_of(http_status, reason);
  return reason == last_error_.reason ? grpc_status_of(last_error_.reset).value_or(status) : status;
}

void Exchange::add_status(http::Headers& fields, GrpcStatus status, std::string_view reason,
                          std::string_view detail) {
  context_->grpc_status = status;
  fields.set(grpc::status_field, grpc::status_text(status));
  fields.set(grpc::message_field, grpc::message_of(context_->arena, reason, detail));
}

// The gateway's own answer, made for HTTP until here, as the client's library reads it. Its body, which only
// gRPC-Web has.
std::string_view Exchange::refuse_call(http::Message& head) {
  Arena& arena = context_->arena;
  const LocalResponse& local = context_->local;
  const GrpcStatus status = status_for(head.status, local.reason);
  // A redirect or a text of the route's own has no reason; no call can follow or read it.
  const bool has_reason = !local.reason.empty();
  const std::string_view said = has_reason ? local.reason : http_status_text(arena, head.status);
  const std::string_view detail = has_reason ? local.detail : status_phrase(head.status);
  const Grpc kind = web_ ? web_->answers : grpc::answer_kind(context_->request, context_->grpc);
  const std::string_view format =
      grpc::format_of(context_->request.headers.get(http::HeaderId::content_type));
  head.status = 200;
  head.headers.set(http::HeaderId::content_type, grpc::content_type(arena, kind, format));
  if (kind == Grpc::native) {
    add_status(head.headers, status, said, detail);
    return {};
  }
  auto* trailers = arena.make<http::Headers>(arena);
  add_status(*trailers, status, said, detail);
  const std::string_view frame = trailer_frame(arena, *trailers);
  if (kind == Grpc::web) return frame;
  std::span<char> text = arena.make_array<char>(base64_size(frame.size()));
  write_base64(frame, text.data());
  return {text.data(), text.size()};
}

// For the log and the metrics. gRPC-Web that goes to the backend as it is counts as HTTP: its status stands
// in a body that nobody here reads.
void Exchange::report_call(Summary& summary) {
  if (context_->grpc != Grpc::native && !web_) return;
  const bool backends = context_->grpc_status && context_->local.status == 0 && !truncated_;
  if (!context_->grpc_status) {
    const uint16_t status = summary.reason.empty() ? summary.status : status_of(summary.reason);
    context_->grpc_status = grpc_status_of(status, summary.reason);
  }
  const grpc::Called called = grpc::called(context_->sent_path);
  // Without one a client takes the HTTP status for it.
  summary.rpc_service = called.service;
  summary.rpc_method = called.method;
  summary.grpc_status = static_cast<int8_t>(*context_->grpc_status);
  worker_.metrics.calls.record(
      summary.route, context_->sent_path, *context_->grpc_status,
      backends ? observe::CallMetrics::Said::by_backend : observe::CallMetrics::Said::by_gateway,
      summary.total_ns);
}

}  // namespace penstock::proxy
