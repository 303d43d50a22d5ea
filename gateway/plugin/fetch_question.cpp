#include "plugin/fetch_question.h"

#include <algorithm>

#include "base/reason.h"
#include "http/http1/syntax.h"
#include "plugin/metrics.h"

namespace penstock::plugin {
namespace {

constexpr int64_t default_timeout_ns = 5'000'000'000, longest_ns = 60'000'000'000;
constexpr uint64_t default_bytes = 1024 * 1024, most_bytes = 64 * 1024 * 1024;
constexpr size_t most_fields = 100, most_body = 1024 * 1024, longest_path = 32 * 1024;

// http/ writes these from what it knows, and the answer is read as it is.
bool is_ours(std::string_view lower_name) {
  static constexpr std::string_view names[] = {"accept-encoding",
                                               "connection",
                                               "content-length",
                                               "expect",
                                               "host",
                                               "http2-settings",
                                               "keep-alive",
                                               "te",
                                               "trailer",
                                               "transfer-encoding",
                                               "upgrade",
                                               "proxy-connection"};
  return std::ranges::count(names, lower_name) > 0;
}

bool is_path(std::string_view text) {
  return text.starts_with('/') && text.size() <= longest_path &&
         std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F && c != '#'; });
}

std::optional<std::span<const http::Field>> fields_of(const gw_fetch_request& asked, Arena& arena) {
  if (asked.field_count > most_fields || (asked.field_count > 0 && asked.fields == nullptr)) return {};
  std::span<http::Field> out = arena.make_array<http::Field>(asked.field_count);
  for (size_t i = 0; i < asked.field_count; ++i) {
    const std::string_view written = view(asked.fields[i].name), value = view(asked.fields[i].value);
    if (!http::http1::is_token(written) || http::http1::count_controls(value) > 0) return {};
    char* name = static_cast<char*>(arena.allocate(written.size(), 1));
    std::ranges::transform(written, name, &http::http1::ascii_lower);
    out[i] = {{name, written.size()}, http::http1::trim(value), http::HeaderId::other};
    if (is_ours(out[i].name)) return {};
  }
  return out;
}

}  // namespace

void FetchEndpoint::count(FetchResult result) const {
  if (gw_metric* counter = results[static_cast<size_t>(result)]) counter->add(1);
}

std::optional<upstream::FetchQuestion> question_of(const FetchEndpoint& endpoint,
                                                   const gw_fetch_request& asked, Arena& arena) {
  upstream::FetchQuestion question;
  const auto fields = fields_of(asked, arena);
  const std::string_view method = view(asked.method), path = view(asked.path);
  if (!fields || asked.timeout_ns < 0 || asked.timeout_ns > longest_ns || asked.max_bytes > most_bytes ||
      asked.body.len > most_body)
    return {};
  if (!method.empty() && (!http::http1::is_token(method) || method == "CONNECT")) return {};
  if (!path.empty() && !is_path(path)) return {};
  question.fields = *fields;
  if (!method.empty()) question.method = method;
  if ((asked.flags & GW_FETCH_HARMLESS) != 0) question.repeat = upstream::FetchQuestion::Repeat::harmless;
  question.authority = endpoint.authority;
  question.path = endpoint.path;
  question.query = endpoint.query;
  question.has_query = endpoint.has_query;
  if (!path.empty()) {
    const size_t mark = path.find('?');
    question.path = path.substr(0, mark);
    question.has_query = mark != path.npos;
    question.query = question.has_query ? path.substr(mark + 1) : std::string_view();
  }
  question.body = view(asked.body);
  const int64_t timeout_ns = asked.timeout_ns == 0 ? default_timeout_ns : asked.timeout_ns;
  question.timeout_ms = static_cast<uint64_t>(std::max<int64_t>(timeout_ns / 1'000'000, 1));
  question.max_bytes = asked.max_bytes == 0 ? default_bytes : asked.max_bytes;
  return question;
}

gw_fetch_answer answer_of(const upstream::FetchAnswer& answer, Arena& arena) {
  std::span<gw_field> fields = arena.make_array<gw_field>(answer.fields.size());
  for (size_t i = 0; i < fields.size(); ++i)
    fields[i] = {str(answer.fields[i].name), str(answer.fields[i].value)};
  gw_fetch_answer out{};
  out.struct_size = sizeof(gw_fetch_answer);
  out.status = answer.status;
  out.reason = str(answer.reason);
  out.fields = fields.data();
  out.field_count = fields.size();
  out.body = str(answer.body);
  return out;
}

FetchResult result_of(const upstream::FetchAnswer& answer) {
  const std::string_view why = answer.reason;
  if (answer.status != 0) return FetchResult::answered;
  if (why == upstream::fetch_timeout) return FetchResult::timeout;
  if (why == upstream::fetch_too_large || why == reason::upstream_too_large) return FetchResult::too_large;
  if (why == reason::upstream_protocol) return FetchResult::protocol;
  if (why == reason::upstream_unresolved) return FetchResult::unresolved;
  if (why.starts_with("upstream.connect.")) return FetchResult::connect;
  if (why.starts_with("upstream.tls.")) return FetchResult::tls;
  return FetchResult::failed;
}

std::string_view name(FetchResult result) {
  switch (result) {
    case FetchResult::answered: return "answered";
    case FetchResult::connect: return "connect";
    case FetchResult::tls: return "tls";
    case FetchResult::unresolved: return "unresolved";
    case FetchResult::protocol: return "protocol";
    case FetchResult::too_large: return "too_large";
    case FetchResult::timeout: return "timeout";
    case FetchResult::failed: return "failed";
    case FetchResult::limit: return "limit";
    case FetchResult::cancelled: return "cancelled";
    case FetchResult::count_: break;
  }
  return {};
}

}  // namespace penstock::plugin
