#include "records.h"

#include "plain_copy.h"

namespace logging {
namespace {

std::string_view view(gw_str s) { return {s.ptr, s.len}; }

// The members of a JSON line, asked for one by one by write_members below. `name` is `,"member":"` as it
// stands in the line; inlined, so that a name is copied as a constant.
class CheckedMembers {  // each one fits or is left out, each value is escaped and bounded
 public:
  explicit CheckedMembers(Line& out) : out_(out) {}
  void time(std::string_view name, SecondText& time, int64_t wall_ns) {
    out_.raw(name);
    time.iso(out_, wall_ns);
    out_.raw('"');
  }
  void text(std::string_view name, std::string_view value) {
    if (value.empty() || !out_.fits(name.size())) return;
    out_.raw(name);
    out_.json(value);
    out_.raw('"');
  }
  void number(std::string_view name, uint64_t value) {
    if (!out_.fits(name.size() + max_number)) return;
    out_.raw(name);
    out_.number(value);
  }
  void duration(std::string_view name, int64_t ns) {
    if (ns < 0 || !out_.fits(name.size() + max_number)) return;
    out_.raw(name);
    out_.seconds(ns);
  }
  void query(std::string_view name, std::string_view value, const Redaction& redaction) {
    if (value.empty() || !out_.fits(name.size())) return;
    out_.raw(name);
    out_.begin_value();
    redaction.query(value.substr(0, Line::max_value + 1),
                    [&](std::string_view piece) { out_.json_more(piece); });
    out_.raw('"');
  }

 private:
  Line& out_;
};

class PlainMembers {  // for a line that fits whatever it says, and counts only if all of it was plain
 public:
  // Names and numbers of all members together; texts may come to one value's bound besides.
  static constexpr size_t max_own = 2048;
  static_assert(max_own + Line::max_value + Line::tail <= Line::capacity);

  explicit PlainMembers(char* at) : at_(at) {}
  [[gnu::always_inline]] inline void time(std::string_view name, SecondText& time, int64_t wall_ns) {
    own(name);
    at_ = time.iso(at_, wall_ns);
    *at_++ = '"';
  }
  [[gnu::always_inline]] inline void text(std::string_view name, std::string_view value) {
    if (value.empty()) return;
    own(name);
    at_ = copied_.copy(at_, value);
    *at_++ = '"';
  }
  [[gnu::always_inline]] inline void number(std::string_view name, uint64_t value) {
    own(name);
    at_ = write_number(at_, value);
  }
  [[gnu::always_inline]] inline void duration(std::string_view name, int64_t ns) {
    if (ns < 0) return;
    own(name);
    at_ = write_seconds(at_, ns);
  }
  void query(std::string_view name, std::string_view value, const Redaction& redaction) {
    if (value.empty()) return;
    own(name);
    redaction.query(value, [&](std::string_view piece) { at_ = copied_.copy(at_, piece); });
    *at_++ = '"';
  }
  // Behind the line; null: something in it was not plain.
  const char* end() {
    own("}\n");
    return copied_.all() ? at_ : nullptr;
  }

 private:
  [[gnu::always_inline]] inline void own(std::string_view text) {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  char* at_;
  PlainCopy copied_;
};

void dash_or(Line& out, std::string_view value) {
  if (value.empty()) {
    out.raw('-');
  } else {
    out.escaped(value);
  }
}

// At most max_value bytes are looked at, so that a query of many pieces costs no more than a long one.
void query_pieces(Line& out, std::string_view query, const Redaction& redaction) {
  redaction.query(query.substr(0, Line::max_value + 1),
                  [&](std::string_view piece) { out.escaped_more(piece); });
}

// Daemons that do not know the flag do not set it.
bool is_call(const gw_summary& s) { return s.flags & GW_SUMMARY_GRPC; }

// All that comes from outside. A masked query may be longer than it was, so such a one does not count as
// short.
size_t text_bytes(const Facts& f, const Redaction& redaction) {
  const gw_summary& s = f.summary;
  const size_t rpc = is_call(s) ? s.rpc_service.len + s.rpc_method.len : 0;
  const size_t query = redaction.masks_queries() && !f.query.empty() ? Line::max_value + 1 : f.query.size();
  return s.trace_id.len + s.span_id.len + s.route.len + s.upstream.len + s.endpoint.len + s.reason.len +
         s.plugin.len + s.request_id.len + s.tls_version.len + s.protocol.len + f.client.size() + rpc +
         f.api_version.size() + f.consumer.size() + f.method.size() + f.host.size() + f.path.size() + query +
         f.user_agent.size();
}

template <class Members>
void write_members(Members& out, const Facts& f, const Redaction& redaction, SecondText& time) {
  const gw_summary& s = f.summary;
  out.time(R"({"timestamp":")", time, s.start_wall_ns);
  // What is ours comes first: a client that fills the line with its own text loses only that.
  out.text(R"(,"trace_id":")", view(s.trace_id));
  out.text(R"(,"span_id":")", view(s.span_id));
  if (s.status != 0) out.number(R"(,"http.response.status_code":)", s.status);
  if (is_call(s)) {
    out.text(R"(,"rpc.system":")", "grpc");
    out.number(R"(,"rpc.grpc.status_code":)", s.grpc_status);
  }
  out.text(R"(,"penstock.route":")", view(s.route));
  out.text(R"(,"penstock.upstream":")", view(s.upstream));
  out.text(R"(,"penstock.endpoint":")", view(s.endpoint));
  out.text(R"(,"penstock.reason":")", view(s.reason));
  out.text(R"(,"penstock.plugin":")", view(s.plugin));
  out.text(R"(,"penstock.request_id":")", view(s.request_id));
  if (s.attempts > 1) out.number(R"(,"penstock.attempts":)", s.attempts);
  out.text(R"(,"tls.protocol":")", view(s.tls_version));
  constexpr std::string_view http = "HTTP/";
  if (view(s.protocol).starts_with(http))
    out.text(R"(,"network.protocol.version":")", view(s.protocol).substr(http.size()));
  if (s.request_body_bytes > 0) out.number(R"(,"http.request.body.size":)", s.request_body_bytes);
  out.number(R"(,"http.response.body.size":)", s.response_body_bytes);
  out.duration(R"(,"duration.total":)", s.total_ns);
  out.duration(R"(,"duration.first_byte":)", s.first_byte_ns);
  out.duration(R"(,"duration.upstream":)", s.upstream_ns);
  if (s.queue_ns > 0) out.duration(R"(,"duration.queue":)", s.queue_ns);
  out.duration(R"(,"duration.auth":)", s.auth_ns);
  out.text(R"(,"client.address":")", f.client);
  out.text(R"(,"penstock.api_version":")", f.api_version);
  out.text(R"(,"penstock.consumer":")", f.consumer);
  out.text(R"(,"http.request.method":")", f.method);
  out.text(R"(,"server.address":")", f.host);
  out.text(R"(,"url.path":")", f.path);
  if (is_call(s)) {
    out.text(R"(,"rpc.service":")", view(s.rpc_service));
    out.text(R"(,"rpc.method":")", view(s.rpc_method));
  }
  out.query(R"(,"url.query":")", f.query, redaction);
  out.text(R"(,"user_agent.original":")", f.user_agent);
}

void write_start(Line& out, const Facts& f, const Redaction& redaction, SecondText& time) {
  dash_or(out, f.client);
  out.raw(" - ");
  // A space would shift the columns of everything that reads this format.
  if (f.consumer.find(' ') == std::string_view::npos) {
    dash_or(out, f.consumer);
  } else {
    out.raw('"');
    out.escaped(f.consumer);
    out.raw('"');
  }
  out.raw(" [");
  time.common(out, f.summary.start_wall_ns);
  out.raw("] \"");
  dash_or(out, f.method);
  out.raw(' ');
  dash_or(out, f.path);
  if (f.query.data() != nullptr && !f.query.empty()) {
    out.raw('?');
    write_query(out, f.query, redaction);
  }
  out.raw(' ');
  dash_or(out, view(f.summary.protocol));
  out.raw("\" ");
  out.number(f.summary.status);
  out.raw(' ');
  out.number(f.summary.response_body_bytes);
}

}  // namespace

void write_query(Line& out, std::string_view query, const Redaction& redaction) {
  out.begin_value();
  query_pieces(out, query, redaction);
}

void write_url(Line& out, std::string_view url, const Redaction& redaction) {
  const size_t mark = url.find('?');
  out.escaped(url.substr(0, mark == std::string_view::npos ? mark : mark + 1));
  if (mark != std::string_view::npos) query_pieces(out, url.substr(mark + 1), redaction);
}

void write_json(Line& out, const Facts& f, const Redaction& redaction, SecondText& time) {
  if (out.has_room(PlainMembers::max_own + Line::max_value) && text_bytes(f, redaction) <= Line::max_value) {
    PlainMembers members(out.here());
    write_members(members, f, redaction, time);
    if (const char* end = members.end()) return out.advance_to(end);
  }
  CheckedMembers members(out);
  write_members(members, f, redaction, time);
  out.end("}");
}

void write_common(Line& out, const Facts& facts, const Redaction& redaction, SecondText& time) {
  write_start(out, facts, redaction, time);
  out.end({});
}

void write_combined(Line& out, const Facts& facts, const Redaction& redaction, SecondText& time) {
  write_start(out, facts, redaction, time);
  out.raw(" \"");
  if (facts.referer.empty()) {
    out.raw('-');
  } else {
    write_url(out, facts.referer, redaction);
  }
  out.raw("\" \"");
  dash_or(out, facts.user_agent);
  out.end("\"");
}

}  // namespace logging
