// swift-tools-version:5.9
import PackageDescription

let package = Package(
    name: "Littoral",
    platforms: [.macOS(.v12), .iOS(.v15)],
    products: [
        .library(name: "Littoral", targets: ["Littoral"]),
        .executable(name: "notes", targets: ["notes"]),
    ],
    targets: [
        // The installed C library, found by pkg-config. An app for iOS puts an XCFramework here
        // instead: .binaryTarget(name: "CLittoral", path: "CLittoral.xcframework"); see README.md.
        .systemLibrary(name: "CLittoral", pkgConfig: "littoral"),
        .target(name: "Littoral", dependencies: ["CLittoral"]),
        .executableTarget(name: "notes", dependencies: ["Littoral"]),
    ]
)
