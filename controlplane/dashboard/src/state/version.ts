/** The product version, once the configuration is there. */

import { useQueryClient } from "@tanstack/react-query";
import type { UiConfig } from "../api/ui";

export function useScopeVersion(): string {
	return useQueryClient().getQueryData<UiConfig>(["config"])?.version ?? "";
}
