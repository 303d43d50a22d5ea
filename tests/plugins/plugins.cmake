# What tests/plugins needs besides its sources: the plugins' pure logic, shared objects to load, and the proof that the
# SDK's header is C11 and C++17 to C++23.
set(programs ${CMAKE_CURRENT_SOURCE_DIR}/plugins/programs)
set(shipped ${PROJECT_SOURCE_DIR}/plugins)

foreach(standard 11 17)
  add_library(sdk_header_c${standard} OBJECT ${programs}/header.c)
  set_target_properties(sdk_header_c${standard} PROPERTIES C_STANDARD ${standard} C_EXTENSIONS OFF)
endforeach()
foreach(standard 17 20 23)
  add_library(sdk_header_cxx${standard} OBJECT ${programs}/header.cpp ${shipped}/sdk/example/key_auth.cpp
    ${shipped}/sdk/example/body_transform/body_transform.cpp)
  set_target_properties(sdk_header_cxx${standard} PROPERTIES CXX_STANDARD ${standard} CXX_EXTENSIONS OFF)
endforeach()
foreach(header c11 c17 cxx17 cxx20 cxx23)
  target_include_directories(sdk_header_${header} PRIVATE ${shipped}/sdk)
  target_compile_options(sdk_header_${header} PRIVATE -Wall -Wextra -Werror -Wpedantic)
  add_dependencies(test_plugins sdk_header_${header})
endforeach()

# Plugins that misbehave in every way we could think of.
set(PENSTOCK_PLUGIN_OUTPUT ${PROJECT_BINARY_DIR}/tests/plugins)
penstock_add_plugin(torture ${programs}/torture.cpp)
penstock_add_plugin(versioned ${programs}/versioned.cpp)
penstock_add_plugin(services ${programs}/services.cpp)
penstock_add_plugin(wrong_magic ${programs}/wrong_entry.c)
target_compile_definitions(wrong_magic PRIVATE WRONG_MAGIC)
penstock_add_plugin(other_abi ${programs}/wrong_entry.c)
target_compile_definitions(other_abi PRIVATE OTHER_ABI)
penstock_add_plugin(needs_more ${programs}/wrong_entry.c)
target_compile_definitions(needs_more PRIVATE NEEDS_MORE)
penstock_add_plugin(bodies ${programs}/bodies.cpp)
penstock_add_plugin(body_transform ${shipped}/sdk/example/body_transform/body_transform.cpp)
penstock_add_plugin(failing_init ${programs}/wrong_entry.c)
target_compile_definitions(failing_init PRIVATE FAILING_INIT)
penstock_add_plugin(tracer ${shipped}/sdk/example/tracer.cpp)
add_library(no_entry MODULE ${programs}/no_entry.c)
set_target_properties(no_entry PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${PENSTOCK_PLUGIN_OUTPUT})
# The examples of the SDK, with our warnings and sanitizers.
include(${shipped}/sdk/example/examples.cmake)
add_dependencies(test_plugins api_version auth rate_limit logging torture versioned services wrong_magic other_abi needs_more bodies body_transform
                 failing_init no_entry
                 key_auth header_edit in_c count_answers file_log route_by_header lookup)

target_sources(test_plugins PRIVATE
  ${shipped}/api_version/version_number.cpp ${shipped}/api_version/instant.cpp
  ${shipped}/auth/key_source.cpp
  ${shipped}/rate_limit/limit_key.cpp ${shipped}/rate_limit/calendar.cpp
  ${shipped}/logging/bulk_answer.cpp ${shipped}/logging/curl_library.cpp ${shipped}/logging/destination.cpp
  ${shipped}/logging/http_client.cpp ${shipped}/logging/http_sink.cpp ${shipped}/logging/line.cpp
  ${shipped}/logging/records.cpp ${shipped}/logging/redaction.cpp ${shipped}/logging/socket.cpp
  ${shipped}/logging/stream_sink.cpp ${shipped}/logging/syslog_header.cpp ${shipped}/logging/syslog_sink.cpp
  ${shipped}/logging/template.cpp ${shipped}/logging/writer.cpp
  # Plays receivers of logs byte by byte.
  ${CMAKE_CURRENT_SOURCE_DIR}/e2e/harness/client.cpp)
target_include_directories(test_plugins SYSTEM PRIVATE ${CURL_INCLUDE_DIRS})
target_include_directories(test_plugins PRIVATE ${shipped})
target_link_libraries(test_plugins PRIVATE PkgConfig::OPENSSL PkgConfig::NLOHMANN ${CMAKE_DL_LIBS})
# GCC 12 sees overlapping copies in "x" + std::string at -O3 (its bug 105651).
target_compile_options(test_plugins PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
