// What is decided about health without a network: thresholds, times, what gRPC's two messages say, and what a
// pick makes of it.
#include <doctest/doctest.h>

#include <cerrno>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "fakes.h"
#include "net/socket.h"
#include "upstream/endpoint.h"
#include "upstream/health/check_result.h"
#include "upstream/health/grpc_health.h"
#include "upstream/health/text_search.h"
#include "upstream/health/verdict.h"

using namespace penstock;
using namespace penstock::upstream;
using namespace penstock::upstream::fakes;
using namespace std::string_literals;
using Change = Verdict::Change;

namespace {

// What becomes of an endpoint by these results: '+' and '-'; after each '.', 'v' (went down) or '^' (back).
std::string changes(const std::string& results, uint32_t healthy = 2, uint32_t unhealthy = 3) {
  CheckPace pace;
  pace.healthy = healthy;
  pace.unhealthy = unhealthy;
  Verdict verdict;
  std::string out;
  for (char result : results) {
    Change change = result == '+' ? verdict.passed(pace) : verdict.failed(pace);
    out += change == Change::none ? '.' : change == Change::went_down ? 'v' : '^';
  }
  return out;
}

std::string framed(const std::string& message) {
  std::string out(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(message.size() >> shift);
  return out + message;
}

// The status that a reader finds when the bytes come in pieces of this size; -1: none.
int64_t status_in_pieces(const std::string& bytes, size_t piece) {
  grpc_health::AnswerReader reader;
  for (size_t at = 0; at < bytes.size(); at += piece)
    if (!reader.feed(std::string_view(bytes).substr(at, piece))) return -1;
  auto status = reader.status();
  return status ? static_cast<int64_t>(*status) : -1;
}

int64_t status_of(const std::string& bytes) {
  int64_t whole = status_in_pieces(bytes, std::max<size_t>(1, bytes.size()));
  for (size_t piece = 1; piece < bytes.size(); ++piece) CHECK(status_in_pieces(bytes, piece) == whole);
  return whole;
}

}  // namespace

TEST_CASE("an endpoint is used until enough checks in a row have failed, and comes back by as many passed") {
  CHECK(changes("--") == "..");
  CHECK(changes("---") == "..v");
  CHECK(changes("---------") == "..v......");
  CHECK(changes("--+--+--+") == ".........");
  CHECK(changes("---+-+-++") == "..v.....^");
  CHECK(changes("+++++---++---") == ".......v.^..v");
  CHECK(changes("-+-+", 1, 1) == "v^v^");
  CHECK(changes("+---+", 3, 1) == ".v...");

  Verdict verdict;
  CheckPace pace;
  CHECK(verdict.health() == Health::unknown);
  verdict.failed(pace);
  CHECK(verdict.health() == Health::unknown);
  verdict.passed(pace);
  CHECK(verdict.health() == Health::up);
}

TEST_CASE("new thresholds apply to the checks that were counted") {
  Verdict verdict;
  CheckPace pace;
  pace.unhealthy = 10;
  for (int i = 0; i < 5; ++i) CHECK(verdict.failed(pace) == Change::none);
  pace.unhealthy = 3;
  CHECK(verdict.failed(pace) == Change::went_down);
  CHECK(verdict.in_row() == -6);
}

TEST_CASE("jitter spreads checks about their interval, and none without it") {
  CheckPace pace;
  pace.interval_ms = 1'000;
  pace.jitter = 0.1;
  CHECK(check_delay_ms(pace, 0) == 900);
  CHECK(check_delay_ms(pace, 0.5) == 1'000);
  CHECK(check_delay_ms(pace, 0.999999) == 1'099);
  pace.jitter = 0;
  CHECK(check_delay_ms(pace, 0) == 1'000);
  CHECK(check_delay_ms(pace, 0.999999) == 1'000);
  pace.jitter = 1;
  CHECK(check_delay_ms(pace, 0) == 1);  // never 0: a timer of 0 would come again in this very turn

  CHECK(first_check_delay_ms(pace, 0) == 0);
  CHECK(first_check_delay_ms(pace, 0.999999) == 999);
  pace.interval_ms = 3'600'000;  // an hour: nobody waits so long for the first one
  CHECK(first_check_delay_ms(pace, 0.999999) == 999);
  pace.interval_ms = 20;
  CHECK(first_check_delay_ms(pace, 0.999999) == 19);
}

TEST_CASE("a text is found in a body however it is cut into pieces") {
  const std::string body = "aababacabaabab-needle-ababaab";
  for (const std::string text :
       {"a", "needle", "abaab", "ab-n", "ababaab", "aab", "aababacabaabab-needle-ababaab"})
    for (size_t piece = 1; piece <= body.size(); ++piece) {
      TextSearch search(text);
      for (size_t at = 0; at < body.size(); at += piece)
        search.feed(std::string_view(body).substr(at, piece));
      CAPTURE(text);
      CAPTURE(piece);
      CHECK(search.found());
    }
  for (const std::string text : {"b-a", "needles", "ababaaba", "x"})
    for (size_t piece = 1; piece <= body.size(); ++piece) {
      TextSearch search(text);
      for (size_t at = 0; at < body.size(); at += piece)
        search.feed(std::string_view(body).substr(at, piece));
      CHECK(!search.found());
    }
  CHECK(TextSearch("").found());
}

TEST_CASE("a request of grpc.health.v1 is framed as its schema says") {
  CHECK(grpc_health::request("") == "\0\0\0\0\0"s);
  CHECK(grpc_health::request("a.B") == "\0\0\0\0\x05\x0a\x03"s + "a.B");
  const std::string name(200, 's');
  CHECK(grpc_health::request(name) == "\0\0\0\0\xcb\x0a\xc8\x01"s + name);
}

TEST_CASE("the status of an answer is read, however its bytes come") {
  CHECK(status_of(framed("\x08\x01"s)) == 1);
  CHECK(status_of(framed("\x08\x02"s)) == 2);
  CHECK(status_of(framed("")) == 0);               // the default is not sent
  CHECK(status_of(framed("\x08\x81\x00"s)) == 1);  // a longer form of the same number
  // Of several the last one; fields that a later version may bring are passed over.
  CHECK(status_of(framed("\x08\x02\x08\x01"s)) == 1);
  CHECK(status_of(framed("\x12\x03xyz\x08\x01"s)) == 1);
  CHECK(status_of(framed("\x08\x01\x19"
                         "12345678"
                         "\x25"
                         "1234"
                         "\x30\x07"s)) == 1);
}

TEST_CASE("what is no answer of grpc.health.v1 has no status") {
  struct Row {
    const char* what;
    std::string bytes;
  };
  const Row rows[] = {
      {"nothing", ""},
      {"half a frame's head", "\0\0\0"s},
      {"no message behind it", "\0\0\0\0\x02"s},
      {"half a message", "\0\0\0\0\x02\x08"s},
      {"more than its length", "\0\0\0\0\x02\x08\x01\x08"s},
      {"two messages", framed("\x08\x01"s) + framed("\x08\x01"s)},
      {"compressed", "\x01\0\0\0\x02\x08\x01"s},
      {"another flag", "\x80\0\0\0\x02\x08\x01"s},
      {"4 GiB to come", "\0\xff\xff\xff\xff"s},
      {"one byte over the bound", framed("\x12\xff\x01"s + std::string(255, 'x'))},
      {"a number without an end", framed("\x08\x81"s)},
      {"a number of 11 bytes", framed("\x08" + std::string(10, '\xff') + "\x01")},
      {"a number over 64 bits", framed("\x08" + std::string(9, '\xff') + "\x02")},
      {"the field as a text", framed("\x0a\x01\x01"s)},
      {"the field as 32 bits", framed("\x0d\x01\0\0\0"s)},
      {"field 0", framed("\x00\x01"s)},
      {"a field number over 29 bits", framed("\x80\x80\x80\x80\x10\x01"s)},
      {"a group", framed("\x13\x14\x08\x01"s)},
      {"an end of no group", framed("\x14\x08\x01"s)},
      {"wire type 6", framed("\x16\x01"s)},
      {"wire type 7", framed("\x17\x01"s)},
      {"a text longer than the message", framed("\x12\x05xyz"s)},
      {"a text of 2^64 - 1 bytes", framed("\x12" + std::string(9, '\xff') + "\x01")},
      {"half of 64 bits", framed("\x19"
                                 "1234"s)},
      {"half of 32 bits", framed("\x25"
                                 "12"s)},
      {"a tag alone", framed("\x08"s)},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    CHECK(status_of(row.bytes) == -1);
  }
}

TEST_CASE("no bytes bring the reader of answers out of its bounds") {
  std::mt19937_64 random(20261122);
  uint64_t read = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string message(random() % 12, '\0');
    for (char& byte : message) byte = static_cast<char>(random() % 4 ? random() % 32 : random());
    auto status = grpc_health::read_status(message);
    read += status.has_value();
    grpc_health::AnswerReader reader;
    CHECK(reader.feed(framed(message)));
    CHECK(reader.status() == status);
  }
  CHECK(read > 1'000);  // some of them are good
}

TEST_CASE("every end of a check has a word of its own and a sentence") {
  std::set<std::string_view> names;
  for (size_t i = 0; i < check_result_count; ++i) {
    auto result = static_cast<CheckResult>(i);
    CHECK(!name(result).empty());
    CHECK(names.insert(name(result)).second);
    CHECK(!describe({result, 503, {}}).empty());
  }
  CHECK(describe({CheckResult::status, 503, {}}) == "status 503");
  CHECK(describe({CheckResult::not_serving, 2, {}}) == "it says NOT_SERVING");
  CHECK(describe({CheckResult::grpc_status, 12, {}}).find("unimplemented") != std::string::npos);
}

TEST_CASE("want of a descriptor says nothing about an endpoint") {
  Error error{ErrorKind::limit, ErrorSource::upstream, Retry::yes, {}, "none is free", Limit::descriptors};
  CHECK(report_of(error).result == CheckResult::skipped);
  error = {ErrorKind::refused, ErrorSource::upstream, Retry::yes, {}, "connection refused"};
  CHECK(report_of(error).result == CheckResult::refused);
  error.kind = ErrorKind::limit;
  CHECK(name(report_of(error).result) == "over_limit");  // a flood and interim answers, too: no size
  for (const int shortage : {EMFILE, EADDRNOTAVAIL, ENOBUFS, ENOMEM})
    CHECK(report_of(net::connect_error(shortage)).result == CheckResult::skipped);
  CHECK(report_of(net::connect_error(EHOSTUNREACH)).result == CheckResult::unreachable);
  // What we could not even ask is no good sign.
  error = {ErrorKind::system, ErrorSource::internal, Retry::no, {}, "it cannot be written"};
  CHECK(report_of(error).result == CheckResult::unreachable);
}

TEST_CASE("what checks have taken out is never picked, whatever the policy, also when nothing else is left") {
  for (BalancePolicy policy :
       {BalancePolicy::round_robin, BalancePolicy::random, BalancePolicy::least_request}) {
    ClusterSettings settings;
    settings.balance = policy;
    Bench bench(settings);
    std::vector<EndpointInfo> all{endpoint("127.0.0.1:1"), endpoint("127.0.0.1:2"), endpoint("127.0.0.1:3")};
    bench.cluster->set_endpoints(set_of(all));
    all[1].state->health = Health::down;
    all[2].state->health = Health::up;
    std::set<std::string> picked;
    for (int i = 0; i < 200; ++i) picked.insert(name_of(*bench.cluster->pick({})));
    CHECK(picked == std::set<std::string>{"127.0.0.1:1", "127.0.0.1:3"});
    // One that rests after failures is the last resort; one that is out is none.
    all[0].state->resting_until_ms = UINT64_MAX;
    all[2].state->resting_until_ms = UINT64_MAX;
    all[0].state->health = Health::down;
    CHECK(name_of(*bench.cluster->pick({})) == "127.0.0.1:3");
    all[2].state->health = Health::down;
    CHECK(bench.cluster->pick({}) == nullptr);
    all[1].state->health = Health::up;
    CHECK(name_of(*bench.cluster->pick({})) == "127.0.0.1:2");
  }
}
