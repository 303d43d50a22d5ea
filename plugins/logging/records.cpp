#include "records.h"

namespace logging {
namespace {

std::string_view view(gw_str s) { return {s.ptr, s.len}; }

// `name` is `,"member":"` as it stands in the line. Inlined, so that a name is copied as a constant.
[[gnu::always_inline]] inline void text_member(Line& out, std::string_view name, std::string_view value) {
  if (value.empty() || !out.fits(name.size())) return;
  out.raw(name);
  out.json(value);
  out.raw('"');
}

constexpr size_t max_number = 32;  // 20 digits and a fraction

void duration_member(Line& out, std::string_view name, int64_t ns) {
  if (ns < 0 || !out.fits(name.size() + max_number)) return;
  out.raw(name);
  out.seconds(ns);
}

void number_member(Line& out, std::string_view name, uint64_t value) {
  if (!out.fits(name.size() + max_number)) return;
  out.raw(name);
  out.number(value);
}

void dash_or(Line& out, std::string_view value) {
  if (value.empty()) {
    out.raw('-');
  } else {
    out.escaped(value);
  }
}

// At most max_value bytes are looked at, so that a query of many pieces costs no more than a long one.
void query_pieces(Line& out, std::string_view query, const Redaction& redaction) {
  redaction.query(query.substr(0, Line::max_value), [&](std::string_view piece) { out.escaped_more(piece); });
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
  const gw_summary& s = f.summary;
  out.raw(R"({"timestamp":")");
  time.iso(out, s.start_wall_ns);
  out.raw('"');
  // What is ours comes first: a client that fills the line with its own text loses only that.
  text_member(out, R"(,"trace_id":")", view(s.trace_id));
  text_member(out, R"(,"span_id":")", view(s.span_id));
  if (s.status != 0) number_member(out, R"(,"http.response.status_code":)", s.status);
  text_member(out, R"(,"penstock.route":")", view(s.route));
  text_member(out, R"(,"penstock.upstream":")", view(s.upstream));
  text_member(out, R"(,"penstock.endpoint":")", view(s.endpoint));
  text_member(out, R"(,"penstock.reason":")", view(s.reason));
  text_member(out, R"(,"penstock.plugin":")", view(s.plugin));
  text_member(out, R"(,"penstock.request_id":")", view(s.request_id));
  if (s.attempts > 1) number_member(out, R"(,"penstock.attempts":)", s.attempts);
  text_member(out, R"(,"tls.protocol":")", view(s.tls_version));
  constexpr std::string_view http = "HTTP/";
  if (view(s.protocol).starts_with(http))
    text_member(out, R"(,"network.protocol.version":")", view(s.protocol).substr(http.size()));
  if (s.request_body_bytes > 0) number_member(out, R"(,"http.request.body.size":)", s.request_body_bytes);
  number_member(out, R"(,"http.response.body.size":)", s.response_body_bytes);
  duration_member(out, R"(,"duration.total":)", s.total_ns);
  duration_member(out, R"(,"duration.first_byte":)", s.first_byte_ns);
  duration_member(out, R"(,"duration.upstream":)", s.upstream_ns);
  if (s.queue_ns > 0) duration_member(out, R"(,"duration.queue":)", s.queue_ns);
  duration_member(out, R"(,"duration.auth":)", s.auth_ns);
  text_member(out, R"(,"client.address":")", f.client);
  text_member(out, R"(,"penstock.api_version":")", f.api_version);
  text_member(out, R"(,"penstock.consumer":")", f.consumer);
  text_member(out, R"(,"http.request.method":")", f.method);
  text_member(out, R"(,"server.address":")", f.host);
  text_member(out, R"(,"url.path":")", f.path);
  constexpr std::string_view query = R"(,"url.query":")";
  if (!f.query.empty() && out.fits(query.size())) {
    out.raw(query);
    out.begin_value();
    redaction.query(f.query.substr(0, Line::max_value),
                    [&](std::string_view piece) { out.json_more(piece); });
    out.raw('"');
  }
  text_member(out, R"(,"user_agent.original":")", f.user_agent);
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
