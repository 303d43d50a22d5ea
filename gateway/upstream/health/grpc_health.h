// The two messages of grpc.health.v1.Health/Check, behind the five bytes of gRPC's framing: one text there,
// one number back. Read by hand, strictly and within a bound: nothing else of gRPC or protobuf is needed.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::upstream::grpc_health {

inline constexpr std::string_view path = "/grpc.health.v1.Health/Check";
inline constexpr uint64_t serving = 1;  // HealthCheckResponse.ServingStatus.SERVING

// HealthCheckRequest { string service = 1; }, framed.
std::string request(std::string_view service);

// HealthCheckResponse { ServingStatus status = 1; }: the status, 0 where it is left out; nothing for bytes
// that are no such message. Fields that a later version may add are passed over.
std::optional<uint64_t> read_status(std::string_view message);

// The body of an answer: one message, not compressed.
class AnswerReader {
 public:
  static constexpr size_t max_message = 256;
  // False: this is no such body. Stays so.
  bool feed(std::string_view bytes);
  // At the body's end; nothing when it was not exactly one message.
  std::optional<uint64_t> status() const;

 private:
  static constexpr size_t prefix_size = 5;  // whether it is compressed, and the length, big-endian
  size_t message_size() const;
  std::array<char, prefix_size + max_message> bytes_;
  size_t size_ = 0;
  bool bad_ = false;
};

}  // namespace penstock::upstream::grpc_health
