// The desync table through the daemon itself, to a backend that records bytes; and what of it is counted and
// logged.
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "desync/payloads.h"
#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/recording.h"
#include "e2e/harness/waiting.h"
#include "fuzz/reference_reader.h"

using namespace e2e;
using desync::Payload;
using desync::Then;

namespace {

std::string configuration(const Recording& backend) {
  return "schema: 1\nworkers: 1\nstatus: { address: \"127.0.0.1:0\" }\n"
         "access_log: [{ format: json, file: access.log }]\n"
         "drain: { accept_for: 0s, timeout: 5s }\n"
         "listeners: [{ name: http, address: \"127.0.0.1:0\", limits: { body_size: 8GiB } },\n"
         "  { name: hasty, address: \"127.0.0.1:0\", limits: { header_timeout: 1s, body_timeout: 1s } }]\n"
         "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
         "upstreams: { u: { endpoints: \"" +
         backend.endpoint() + "\" } }\n";
}

// "200 /a | 400 !" of all that came; "!" for the answer that says the connection closes.
std::string answers(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    auto reading = reference::read_response(bytes, {}, reference::Stream::open);
    if (reading.outcome != reference::Outcome::whole) return out + " | not whole: " + std::string(bytes);
    const reference::Message& answer = reading.message;
    out += (out.empty() ? "" : " | ") + std::to_string(answer.status);
    if (answer.status == 200) out += " " + answer.body;
    if (answer.value("connection") == "close") out += " !";
    bytes.remove_prefix(answer.size);
  }
  return out;
}

std::string expected(const Payload& payload) {
  std::string out;
  for (const std::string& request : payload.meant) {
    size_t target = request.find('/');
    out += (out.empty() ? "" : " | ") + ("200 " + request.substr(target, request.find(' ', target) - target));
  }
  if (payload.then == Then::refused)
    out += (out.empty() ? "" : " | ") + std::to_string(payload.status) + " !";
  return out;
}

enum class Pace { whole, bytewise };

void send(Client& client, std::string_view bytes, Pace pace) {
  if (pace == Pace::whole) return client.send(bytes);
  for (char byte : bytes) {
    if (client.closed_now()) return;
    if (client.send_some({&byte, 1}) == 0) return;
  }
}

// What the client got. Of a connection that stays: as many answers as were meant.
std::string converse(uint16_t port, const Payload& payload, Pace pace) {
  Client client(port);
  send(client, payload.bytes, pace);
  if (payload.then == Then::refused) return answers(client.read_to_end());
  if (payload.then == Then::open) {
    std::string out;
    for (size_t i = 0; i < payload.meant.size(); ++i) {
      Response response = client.read_response();
      out += (i ? " | " : "") + std::to_string(response.status) + " " + response.body;
      if (response.header("connection") == "close") out += " !";
    }
    return out;
  }
  client.end_sending();
  try {
    return answers(client.read_to_end());
  } catch (const Failure&) {
    return {};  // a reset: the request was cut, and so is the answer
  }
}

// The value of a counter's series that has all of these labels.
uint64_t counted(const std::string& metrics, std::initializer_list<std::string> labels) {
  uint64_t sum = 0;
  std::istringstream lines(metrics);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("http_server_request_duration_seconds_count{") &&
        std::ranges::all_of(labels,
                            [&](const std::string& label) { return line.find(label) != std::string::npos; }))
      sum += std::stoull(line.substr(line.rfind(' ') + 1));
  return sum;
}

}  // namespace

TEST_CASE(
    "no payload of the desync table makes the daemon forward what was not meant, and each is counted and "
    "logged once") {
  Recording backend;
  Gateway gateway(configuration(backend));
  std::map<std::string, uint64_t> statuses;
  uint64_t records = 0;
  for (const Payload& payload : desync::payloads()) {
    for (Pace pace : {Pace::whole, Pace::bytewise}) {
      INFO(payload.family, ": ", payload.name);
      INFO("bytewise: ", pace == Pace::bytewise);
      CHECK(converse(gateway.port(), payload, pace) == expected(payload));
      CHECK(backend.take() == payload.meant);
      if (payload.then == Then::refused) ++statuses[std::to_string(payload.status)];
      records += payload.meant.size() + (payload.then != Then::open);
    }
  }
  CHECK(backend.take().empty());
  std::string metrics = get(gateway.status_port(), "/metrics").body;
  CHECK(counted(metrics, {"error_type=\"request.malformed\"", "status_code=\"400\""}) == statuses["400"]);
  CHECK(counted(metrics, {"error_type=\"request.unsupported_method\"", "status_code=\"501\""}) ==
        statuses["501"]);
  CHECK(counted(metrics, {"error_type=\"request.expectation\"", "status_code=\"417\""}) == statuses["417"]);
  CHECK(counted(metrics, {}) == records);
  CHECK(gateway.stop(SIGTERM) == 0);
  CHECK(backend.strange() == "");
  std::string log = gateway.folder().read("access.log");
  CHECK(static_cast<uint64_t>(std::ranges::count(log, '\n')) == records);
}

TEST_CASE("what comes behind a request that was given up for its silence is never a request") {
  const std::string evil = "GET /evil HTTP/1.1\r\nHost: x\r\n\r\n";
  Recording backend;
  Gateway gateway(configuration(backend));
  std::vector<std::unique_ptr<Client>> clients;
  for (const char* begun : {"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 32\r\n\r\n",
                            "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
                            "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
                            "POST /a HTTP/1.1\r\nHost: x\r\n", "POST /a HTTP/1.1\r\n", "P"}) {
    clients.push_back(std::make_unique<Client>(gateway.port("hasty")));
    clients.back()->send(begun);
  }
  for (const auto& client : clients) {
    CHECK(client->read_response().status == 408);
    client->send_some(evil);
    CHECK(client->at_end());
  }
  CHECK(backend.take().empty());
}
