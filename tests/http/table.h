// Rows of the protocol tables and the one way to run them: through the relay, whole, byte by byte, and cut in
// two at every place. A row says where in the RFC it comes from and what it is about.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "fuzz/reference_reader.h"
#include "relay.h"

namespace penstock::test {

// --- what a client sends ---

struct RequestRow {
  std::string section;
  std::string about;
  std::string sent;
  std::string forwarded;  // what the backend receives, byte for byte; empty: nothing
  std::string_view refused = {};
};
inline constexpr std::string_view malformed = reason::request_malformed;
inline constexpr std::string_view unsupported = reason::request_unsupported_method;

// "GET / HTTP/1.1", Host, and these fields; and the same as it is forwarded.
inline std::string get(std::string_view fields = {}) {
  return fmt::format("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", fields);
}
inline std::string got(std::string_view fields = {}) {
  return fmt::format("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", fields);
}
inline std::string line(std::string_view request_line, std::string_view fields = "Host: x\r\n") {
  return fmt::format("{}\r\n{}\r\n", request_line, fields);
}
inline std::string post(std::string_view fields, std::string_view body = {}) {
  return fmt::format("POST / HTTP/1.1\r\nHost: x\r\n{}\r\n{}", fields, body);
}
inline std::string posted(std::string_view fields, std::string_view body = {}) {
  return fmt::format("POST / HTTP/1.1\r\nhost: x\r\n{}\r\n{}", fields, body);
}
inline std::string post_chunks(std::string_view body) { return post("Transfer-Encoding: chunked\r\n", body); }
inline std::string posted_chunks(std::string_view body) {
  return posted("transfer-encoding: chunked\r\n", body);
}

// --- what a backend sends ---

struct ResponseRow {
  std::string section;
  std::string about;
  std::string sent;  // by the backend
  std::string seen;  // by the client, byte for byte; empty: the answer is broken, none of it looks whole
  enum class After { reused, closed } after = After::reused;  // the backend's connection
  std::string_view method = "GET";
  std::string_view version = "1.1";  // of the client
  enum class Backend { stays, closes } backend = Backend::stays;
};
using After = ResponseRow::After;
using Ending = ResponseRow::Backend;

inline std::string ok(std::string_view fields, std::string_view body = {}) {
  return fmt::format("HTTP/1.1 200 OK\r\nDate: D\r\n{}\r\n{}", fields, body);
}
inline std::string seen(std::string_view fields, std::string_view body = {}) {
  return fmt::format("HTTP/1.1 200 OK\r\ndate: D\r\n{}\r\n{}", fields, body);
}
inline std::string answer_chunks(std::string_view body) { return ok("Transfer-Encoding: chunked\r\n", body); }
inline std::string seen_chunks(std::string_view body) { return seen("transfer-encoding: chunked\r\n", body); }

// --- running them ---

// The chunks of a message as one, because how many there are depends on how the bytes came.
inline std::string one_chunk(const std::string& message) {
  size_t head = message.rfind("transfer-encoding: chunked\r\n");
  if (head == std::string::npos) return message;
  size_t body = message.find("\r\n\r\n", head);
  if (body == std::string::npos) return message;
  body += 4;
  std::string data;
  size_t at = body;
  while (true) {
    size_t end = message.find("\r\n", at);
    if (end == std::string::npos) return message;
    size_t size = std::stoul(message.substr(at, end - at), nullptr, 16);
    if (size == 0) break;
    data += message.substr(end + 2, size);
    at = end + 2 + size + 2;
  }
  std::string first = data.empty() ? "" : fmt::format("{:x}\r\n{}\r\n", data.size(), data);
  return message.substr(0, body) + first + message.substr(std::min(at, message.size()));
}

// Calls run(first, step) for: all at once, byte by byte, cut in two at every place.
template <class Run>
void in_every_way(const std::string& bytes, Run run) {
  run(bytes.size(), bytes.size());
  run(size_t{1}, size_t{1});
  if (bytes.size() > 1500) return;
  for (size_t at = 1; at < bytes.size(); ++at) run(at, bytes.size());
}
inline void feed_in(Wire& wire, std::string_view bytes, size_t first, size_t step) {
  for (size_t size = first; !bytes.empty(); size = step) {
    feed(wire, bytes.substr(0, size));
    bytes.remove_prefix(std::min(size, bytes.size()));
  }
}

inline void run_rows(const std::vector<RequestRow>& rows) {
  net::Loop loop;
  for (const RequestRow& row : rows) {
    INFO(row.section, ": ", row.about);
    in_every_way(row.sent, [&](size_t first, size_t step) {
      INFO("first piece: ", first);
      Relay relay(loop);
      feed_in(relay.client.wire, row.sent, first, step);
      CHECK(relay.refused == row.refused);
      if (row.refused.empty() || !row.forwarded.empty())
        CHECK(one_chunk(relay.backend.wire.sent) == row.forwarded);
      else  // a body that breaks the rules later may have begun, and is never whole
        CHECK(reference::read_request(relay.backend.wire.sent).outcome == reference::Outcome::partial);
      if (!row.refused.empty()) {
        std::string evil = "GET /next HTTP/1.1\r\nHost: x\r\n\r\n";
        size_t streams = relay.client.streams.size();
        feed(relay.client.wire, evil);
        CHECK(relay.client.streams.size() == streams);
      }
      relay.finish();
      turn(loop);
    });
  }
}

inline void run_rows(const std::vector<ResponseRow>& rows) {
  net::Loop loop;
  for (const ResponseRow& row : rows) {
    INFO(row.section, ": ", row.about);
    in_every_way(row.sent, [&](size_t first, size_t step) {
      INFO("first piece: ", first);
      Relay relay(loop);
      feed(relay.client.wire, fmt::format("{} / HTTP/{}\r\nHost: x\r\n\r\n", row.method, row.version));
      feed_in(relay.backend.wire, row.sent, first, step);
      if (row.backend == Ending::closes) feed_end(relay.backend.wire);
      if (row.seen.empty()) {
        CHECK(relay.up.log().find("reset upstream.") != std::string::npos);
        std::string question(row.method);
        auto left =
            reference::read_response(relay.client.wire.sent, {question, false}, reference::Stream::closed);
        bool looks_whole = left.outcome == reference::Outcome::whole && left.message.status >= 200 &&
                           relay.client.wire.end != Wire::End::aborted;
        CHECK(!looks_whole);
      } else {
        CHECK(one_chunk(relay.client.wire.sent) == row.seen);
      }
      CHECK(relay.backend.idle == (row.after == After::reused ? 1 : 0));
      CHECK(relay.backend.closed == (row.after == After::reused ? 0 : 1));
      relay.finish();
      turn(loop);
    });
  }
}

}  // namespace penstock::test
