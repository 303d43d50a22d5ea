# cmake --install: the daemon, the shipped plugins, and what an author of plugins needs: headers, version script, and a
# CMake package, so that find_package(penstock) and penstock_add_plugin() work outside this tree.
include(CMakePackageConfigHelpers)
set(sdk ${PROJECT_SOURCE_DIR}/plugins/sdk)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/penstock)

install(TARGETS penstock RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS ${shipped_plugins} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/penstock/plugins)

file(GLOB headers CONFIGURE_DEPENDS ${sdk}/*.h ${sdk}/*.hpp)
install(FILES ${headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${sdk}/penstock DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

configure_package_config_file(${sdk}/penstockConfig.cmake.in ${PROJECT_BINARY_DIR}/penstockConfig.cmake
  INSTALL_DESTINATION ${package} PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_BINDIR)
# A plugin is built for the ABI of its header, which is the same for every daemon of a major version.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/penstockConfigVersion.cmake
  COMPATIBILITY SameMajorVersion ARCH_INDEPENDENT)
install(FILES ${PROJECT_BINARY_DIR}/penstockConfig.cmake ${PROJECT_BINARY_DIR}/penstockConfigVersion.cmake
  ${sdk}/penstock_add_plugin.cmake ${sdk}/penstock_plugin.map DESTINATION ${package})

install(FILES ${sdk}/README.md ${sdk}/TUTORIAL.md DESTINATION ${CMAKE_INSTALL_DOCDIR}/sdk)
install(DIRECTORY ${sdk}/example DESTINATION ${CMAKE_INSTALL_DOCDIR}/sdk)
