# `cmake --install`: the header files, the library under its soname, and what lets others find both: find_package(tidegate) and
# pkg-config. The folder may be moved afterwards.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package "${CMAKE_INSTALL_LIBDIR}/cmake/tidegate")
set(generated "${PROJECT_BINARY_DIR}/package")
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/tidegateConfig.cmake.in" "${generated}/tidegateConfig.cmake"
  INSTALL_DESTINATION "${package}" PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 a minor version may change what programs are built against.
write_basic_package_version_file("${generated}/tidegateConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
# pkg-config finds the folder by where its file lies.
file(RELATIVE_PATH to_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file("${CMAKE_CURRENT_LIST_DIR}/tidegate.pc.in" "${generated}/tidegate.pc" @ONLY)
file(CREATE_LINK "libtidegate.so.${abi}" "${generated}/libtidegate.so" SYMBOLIC)

install(FILES include/tidegate.h include/tidegate.hpp DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(PROGRAMS "${built}" RENAME "libtidegate.so.${abi}" DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(FILES "${generated}/libtidegate.so" DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(FILES "${generated}/tidegateConfig.cmake" "${generated}/tidegateConfigVersion.cmake" DESTINATION "${package}")
install(FILES "${generated}/tidegate.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
# --strip knows nothing of a library that cargo built; five sixths of it are debug information.
set(installed "\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/libtidegate.so.${abi}")
install(CODE "if(CMAKE_INSTALL_DO_STRIP)
  execute_process(COMMAND \"${CMAKE_STRIP}\" --strip-unneeded \"${installed}\" COMMAND_ERROR_IS_FATAL ANY)
endif()")
