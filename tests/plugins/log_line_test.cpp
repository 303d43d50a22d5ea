// Lines of the access log against slower ways of writing the same: number by number, value by value, byte by
// byte.
#include <doctest/doctest.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "logging/digits.h"
#include "logging/plain_copy.h"
#include "logging/records.h"
#include "penstock_plugin.hpp"
#include "plugins/harness.h"

using namespace penstock::plugin::testing;
using nlohmann::json;

namespace {

gw_summary summary() {
  gw_summary s{};
  s.struct_size = sizeof s;
  s.status = 200;
  s.attempts = 2;
  s.start_wall_ns = 1'800'000'000'007'456'789;
  s.total_ns = 412'345;
  s.first_byte_ns = 61'000'001'999;
  s.upstream_ns = s.queue_ns = 7;
  s.auth_ns = -1;
  s.request_body_bytes = UINT64_MAX;
  s.response_body_bytes = 17;
  return s;
}

std::string line_of(const logging::Facts& facts, const logging::Redaction& redaction) {
  auto line = std::make_unique<logging::Line>();
  logging::SecondText time;
  line->clear();
  logging::write_json(*line, facts, redaction, time);
  return std::string(line->text());
}

// Of exactly that size on the heap, so that the sanitizer sees a look beyond its ends.
struct Exact {
  explicit Exact(std::string_view text) : bytes(new char[text.size()]), size(text.size()) {
    std::copy(text.begin(), text.end(), bytes.get());
  }
  std::string_view view() const { return {bytes.get(), size}; }
  std::unique_ptr<char[]> bytes;
  size_t size;
};

}  // namespace

TEST_CASE("numbers come out as std::to_string has them") {
  std::mt19937_64 random(5);
  const auto check = [](uint64_t value) {
    char text[logging::max_number];
    const char* end = logging::write_number(text, value);
    REQUIRE(std::string(text, static_cast<size_t>(end - text)) == std::to_string(value));
  };
  for (uint64_t value = 0; value < 1'100'000; value += value < 11'000 ? 1 : 997) check(value);
  for (uint64_t power = 1; power < 10'000'000'000'000'000'000u; power *= 10) check(power - 1), check(power);
  for (int i = 0; i < 20'000; ++i) check(random() >> random() % 64);
  check(UINT64_MAX);
}

TEST_CASE("durations are cut to six decimals") {
  std::mt19937_64 random(6);
  for (int i = 0; i < 20'000; ++i) {
    const auto ns = static_cast<int64_t>(random() >> (1 + random() % 63));
    char text[logging::max_number], wanted[64];
    const char* end = logging::write_seconds(text, ns);
    std::snprintf(wanted, sizeof wanted, "%lld.%06lld", static_cast<long long>(ns / 1'000'000'000),
                  static_cast<long long>(ns % 1'000'000'000 / 1000));
    REQUIRE(std::string(text, static_cast<size_t>(end - text)) == wanted);
  }
}

TEST_CASE("a copy is whole at every length and one byte that is not plain is seen wherever it stands") {
  for (size_t size = 0; size <= 70; ++size) {
    std::string text;
    for (size_t i = 0; i < size; ++i) text += static_cast<char>('#' + i % 50);  // without the backslash
    const auto copied = [&](std::string_view from) {
      std::string out(size + 2, '<');
      logging::PlainCopy copy;
      REQUIRE(copy.copy(out.data() + 1, from) == out.data() + 1 + size);
      REQUIRE(out == "<" + std::string(from) + "<");
      return copy.all();
    };
    REQUIRE(copied(Exact(text).view()));
    for (size_t at = 0; at < size; ++at) {
      for (const char special : {'"', '\\', '\n', '\0', '\x1f', '\x80', '\xff'}) {
        std::string other = text;
        other[at] = special;
        REQUIRE_FALSE(copied(Exact(other).view()));
      }
      std::string plain = text;
      plain[at] = "\x7f !~"[at % 4];
      REQUIRE(copied(Exact(plain).view()));
    }
  }
}

TEST_CASE("what was seen in one value is not forgotten in the next") {
  char out[64];
  logging::PlainCopy copy;
  copy.copy(out, "a quote \" in one that is longer than sixteen");
  copy.copy(out, "plain");
  CHECK_FALSE(copy.all());
}

// The quote at the end makes the line take the way that escapes; all that stands before it must not differ.
TEST_CASE("a plain line is the one that would be written with care") {
  std::mt19937 random(7);
  const logging::Redaction none({}, {}), token({}, {"token"});
  const gw_summary base = summary();
  for (int round = 0; round < 3000; ++round) {
    const size_t longest = round % 3 == 0 ? 400 : 40;  // some lines are longer than the short way takes
    const auto text = [&] {
      std::string out(random() % longest, ' ');
      for (char& c : out) c = static_cast<char>('#' + random() % 50);
      return out;
    };
    const std::string value[] = {text(), text(), text() + "&token=1&b", text(), text(), text(),
                                 text(), text()};
    gw_summary s = base;
    s.route = s.trace_id = gw::str(value[0]);
    s.upstream = s.reason = gw::str(value[1]);
    s.queue_ns = round % 2;
    const auto facts = [&](std::string_view agent) {
      return logging::Facts{s,        value[1], value[3], value[2], value[4],
                            value[5], value[6], value[7], agent,    {}};
    };
    const logging::Redaction& redaction = round % 5 == 0 ? token : none;
    const std::string plain = line_of(facts(value[0] + "x"), redaction);
    const std::string quoted = line_of(facts(value[0] + "x\""), redaction);
    REQUIRE(plain.substr(plain.size() - 3) == "\"}\n");
    REQUIRE(quoted == plain.substr(0, plain.size() - 3) + "\\\"\"}\n");
    const json parsed = json::parse(plain, nullptr, false);
    REQUIRE(!parsed.is_discarded());
    REQUIRE(parsed.value("server.address", "") == value[4]);
    REQUIRE(parsed["timestamp"] == "2027-01-15T08:00:00.007Z");
    REQUIRE(parsed["http.request.body.size"] == UINT64_MAX);
  }
}

TEST_CASE("a call of gRPC has its service, method and status, and nothing else has") {
  gw_summary s = summary();
  const auto record = [&](std::string_view agent) {
    return json::parse(line_of({s, "POST", "/pkg.S/M", {}, "h", "c", {}, {}, agent, {}}, {{}, {}}));
  };
  s.rpc_service = gw::str("pkg.S");
  s.rpc_method = gw::str("M");
  s.grpc_status = 14;
  for (const char* name : {"rpc.system", "rpc.service", "rpc.method", "rpc.grpc.status_code"})
    CHECK(!record("agent").contains(name));
  s.flags = GW_SUMMARY_GRPC;
  for (const std::string_view agent : {"agent", "one with a \" quote"}) {  // the short way and the long one
    const json parsed = record(agent);
    CHECK(parsed["rpc.system"] == "grpc");
    CHECK(parsed["rpc.service"] == "pkg.S");
    CHECK(parsed["rpc.method"] == "M");
    CHECK(parsed["rpc.grpc.status_code"] == 14);
  }
}

TEST_CASE("what the summary says of a request is what its attributes say") {
  Folder folder;
  World w;
  w.files[0] = folder.path + "/gateway.yaml";
  REQUIRE(w.load(shipped("logging")) == "");
  auto* records = w.make("logging", "json", R"({"file": "json.log"})");
  auto* attributes = w.make("logging", "custom", R"({"file": "custom.log", "format":
      "{request.method} {request.path} {request.query} {request.host} {client.address} {consumer.id} {api.version}"})");
  REQUIRE(attributes != nullptr);
  const auto complete = [&](auto change) {
    Request r(w);
    change(r);
    r.context.phase = penstock::proxy::Phase::complete;
    penstock::proxy::Summary s;
    s.status = 200;
    for (auto* filter : {records, attributes}) filter->on_complete(r.call(*filter), s);
  };
  complete([](Request&) {});
  complete([](Request& r) { r.query("a=1").context.consumer_id = "mobile-app"; });
  complete([&](Request& r) { r.context.set_attribute(w.names.attribute_id("api.version"), "v2"); });
  complete([](Request& r) {
    r.query("left").context.sent_query = "sent";
    r.context.sent_host = r.context.client_address = r.context.sent_path = {};
  });
  w.stop_all();
  std::ifstream json_lines(folder.path + "/json.log"), custom_lines(folder.path + "/custom.log");
  std::string record, custom;
  int lines = 0;
  for (; std::getline(json_lines, record) && std::getline(custom_lines, custom); ++lines) {
    const json parsed = json::parse(record);
    std::string wanted;
    for (const char* name : {"http.request.method", "url.path", "url.query", "server.address",
                             "client.address", "penstock.consumer", "penstock.api_version"}) {
      wanted += (wanted.empty() ? "" : " ") + parsed.value(name, "");
    }
    CHECK(custom == wanted);
  }
  CHECK(lines == 4);
}
