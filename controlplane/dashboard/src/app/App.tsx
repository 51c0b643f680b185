/** The providers round everything. */

import { createTheme, MantineProvider } from "@mantine/core";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { useTheme } from "../state/prefs";
import { router } from "./router";

const queries = new QueryClient({
	defaultOptions: {
		queries: {
			gcTime: 120_000,
			refetchOnWindowFocus: false,
			refetchOnReconnect: true,
			retry: (count, error) => {
				const kind = (error as { failure?: { kind?: string } }).failure?.kind;
				return count < 1 && (kind === "unreachable" || kind === "starting" || kind === undefined);
			},
			retryDelay: 800,
		},
	},
});

const theme = createTheme({
	fontFamily: "var(--font)",
	fontFamilyMonospace: "var(--mono)",
	defaultRadius: 8,
	respectReducedMotion: true,
	components: {
		Popover: { defaultProps: { transitionProps: { duration: 120, transition: "fade" }, shadow: "none" } },
		Menu: { defaultProps: { transitionProps: { duration: 120, transition: "fade" }, shadow: "none" } },
		Tooltip: { defaultProps: { openDelay: 400, transitionProps: { duration: 80, transition: "fade" } } },
	},
});

/** Styles that are made at run time carry the nonce of the page, or the content security policy refuses them. */
function nonce(): string {
	return document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? "";
}

export function App() {
	const scheme = useTheme();
	return (
		<MantineProvider theme={theme} forceColorScheme={scheme} getStyleNonce={nonce}>
			<QueryClientProvider client={queries}>
				<RouterProvider router={router} />
			</QueryClientProvider>
		</MantineProvider>
	);
}
