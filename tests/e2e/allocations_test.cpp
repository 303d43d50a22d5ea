// In the steady state no request takes anything from the heap. Counted in the real daemon, in all of its
// threads and libraries; a sanitizer has a heap of its own, so its build leaves this out.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "e2e/grpc_support.h"
#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "programs/allocations/counts.h"

using namespace e2e;

namespace {

class SharedCounts {
 public:
  SharedCounts() : path_(folder_.write("counts", std::string(sizeof(*counts_), '\0'))) {
    int fd = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
    counts_ = static_cast<allocations::Counts*>(
        ::mmap(nullptr, sizeof(*counts_), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    ::close(fd);
    REQUIRE(counts_ != MAP_FAILED);
  }
  ~SharedCounts() { ::munmap(counts_, sizeof(*counts_)); }

  std::map<std::string, std::string> environment() const {
    return {{"LD_PRELOAD", binary("penstock_allocations.so")}, {allocations::variable, path_}};
  }
  uint64_t made() const { return counts_->made; }

 private:
  TempFolder folder_;
  std::string path_;
  allocations::Counts* counts_ = nullptr;
};

// What a thousand requests take from the heap when a thousand went before them.
uint64_t taken(const std::string& configuration, const std::string& request) {
  SharedCounts counts;
  Gateway gateway(configuration, counts.environment());
  REQUIRE(counts.made() > 0);
  Client client(gateway.port());
  auto ask = [&] {
    for (int i = 0; i < 1'000; ++i) {
      client.send(request);
      REQUIRE(client.read_response(request.substr(0, request.find(' '))).status == 200);
    }
  };
  ask();
  uint64_t before = counts.made();
  ask();
  return counts.made() - before;
}

// The same over one connection of HTTP/2: GET /bytes/9, its fields known to everybody (RFC 7541, appendix A).
uint64_t taken_over_http2(const std::string& configuration) {
  SharedCounts counts;
  Gateway gateway(configuration, counts.environment());
  REQUIRE(counts.made() > 0);
  Client client(gateway.port());
  client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string("\0\0\0\4\0\0\0\0\0", 9));
  const std::string fields =
      std::string("\x82\x86\x04\x08", 4) + "/bytes/9" + std::string("\x01\x01", 2) + "a";
  uint32_t stream = 1;
  auto ask = [&] {
    for (int i = 0; i < 1'000; ++i, stream += 2) {
      std::string head{'\0',
                       '\0',
                       static_cast<char>(fields.size()),
                       1,
                       5,
                       '\0',
                       '\0',
                       static_cast<char>(stream >> 8),
                       static_cast<char>(stream)};
      client.send(head + fields);
      for (bool ended = false; !ended;) {  // until DATA or HEADERS end the stream
        const std::string frame = client.read(9);
        client.read(static_cast<unsigned char>(frame[1]) * size_t{256} +
                    static_cast<unsigned char>(frame[2]));
        ended = (frame[3] == 0 || frame[3] == 1) && (frame[4] & 1);
      }
    }
  };
  ask();
  const uint64_t before = counts.made();
  ask();
  return counts.made() - before;
}

// Timers, metrics and the log's writer may take something now and then; a request would show a thousand
// times.
constexpr uint64_t now_and_then = 50;

std::string bare(const Backend& backend) {
  return basics(
      "routes: [{ name: all, match: { path_prefix: / }, public: true, upstream: u }]\n"
      "upstreams: { u: { endpoints: \"" +
      backend.endpoint() + "\" } }\n");
}

const std::string fields =
    " HTTP/1.1\r\nhost: a\r\nx-api-key: swordfish-1\r\nuser-agent: t\r\naccept: */*\r\n";

}  // namespace

TEST_CASE("a request that is forwarded takes nothing from the heap") {
  Backend backend;
  CHECK(taken(bare(backend), "GET /bytes/1024" + fields + "\r\n") < now_and_then);
  CHECK(taken(bare(backend), "GET /bytes/100000" + fields + "\r\n") < now_and_then);
  CHECK(taken(bare(backend), "POST /x" + fields + "content-length: 5\r\n\r\nhello") < now_and_then);
}

TEST_CASE("nor does one that comes over HTTP/2") {
  Backend backend;
  std::string both = bare(backend);
  both.replace(both.find("\"127.0.0.1:0\" }\nroutes"), 15, "\"127.0.0.1:0\", protocols: [h2, http/1.1] }");
  CHECK(taken_over_http2(both) < now_and_then);
}

TEST_CASE("nor does a call of gRPC with a deadline, nor one of gRPC-Web") {
  GrpcServer server;
  const std::string configuration = grpc_configuration(server.endpoint, "grpc_web: true, ");
  SharedCounts counts;
  Gateway gateway(configuration, counts.environment());
  const auto ask = [&] {
    const Ran ran = grpc_client(gateway, "for i in range(1000): unary('Echo')(b'hello', timeout=20)");
    CAPTURE(ran.err);
    REQUIRE(ran.exit_code == 0);
    return counts.made();
  };
  const uint64_t before = ask();
  CHECK(ask() - before < 500);  // its connection takes some; a call would a thousand times

  const std::string head = "POST /test.Peer/Echo HTTP/1.1\r\nhost: a\r\n";
  CHECK(taken(configuration, head + "content-type: application/grpc-web\r\ncontent-length: 8\r\n\r\n" +
                                 std::string("\0\0\0\0\3abc", 8)) < now_and_then);
  CHECK(taken(configuration, head + "content-type: application/grpc-web-text\r\ncontent-length: 12\r\n\r\n"
                                    "AAAAAANhYmM=") < now_and_then);
}

TEST_CASE("nor does a body on its way through plugins, as it comes or whole") {
  Backend backend;
  const std::string configuration =
      "schema: 1\nworkers: 1\nlisteners: [{ name: http, address: \"127.0.0.1:0\" }]\n"
      "plugin_libraries: [" +
      binary("tests/plugins/bodies.so") +
      "]\nplugins: { does: { type: bodies } }\n"
      "routes: [{ name: all, match: { path_prefix: / }, public: true, plugins: [does], upstream: u }]\n"
      "upstreams: { u: { endpoints: \"" +
      backend.endpoint() + "\" } }\n";
  for (const std::string how : {"upper", "hold"}) {
    CAPTURE(how);
    const std::string small = how == "upper" ? "100000" : "10000";
    CHECK(taken(configuration, "GET /bytes/" + small + fields + "answer: " + how + "\r\n\r\n") <
          now_and_then);
    CHECK(taken(configuration, "POST /x" + fields + "body: " + how + "\r\ncontent-length: 5\r\n\r\nhello") <
          now_and_then);
  }
}

TEST_CASE("a request with version, authentication, rate limit and log takes nothing from the heap") {
  Backend backend;
  CHECK(taken("schema: 1\nworkers: 1\n"
              "listeners: [{ name: http, address: \"127.0.0.1:0\" }]\n"
              "access_log: [{ format: json, file: access.log }]\n"
              "consumers: [{ name: app, credentials: { api_keys: [swordfish-1] } }]\n"
              "plugins:\n"
              "  keys: { type: api_key, header: x-api-key }\n"
              "  per-consumer: { type: rate_limit, key: consumer.id, limits: [1000000/s] }\n"
              "routes:\n"
              "  - { name: all, match: { path_prefix: / }, auth: keys, plugins: [per-consumer],\n"
              "      version: { from: [header.x-api-version], default: v1, versions: { v1: { upstream: u } } "
              "} }\n"
              "upstreams: { u: { endpoints: \"" +
                  backend.endpoint() + "\" } }\n",
              "GET /bytes/1024" + fields + "\r\n") < now_and_then);
}
