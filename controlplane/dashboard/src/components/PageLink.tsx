/** A link to a page that takes environment, range and refresh along. */

import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { merged, type Patch, useCarried } from "../state/url";

export interface PageLinkProps {
	to: string;
	params?: Patch;
	className?: string;
	children: ReactNode;
	label?: string;
	onClick?: () => void;
}

export function PageLink({ to, params, className, children, label, onClick }: PageLinkProps) {
	const carried = useCarried();
	return (
		<Link
			to={to as never}
			search={merged(carried, params ?? {}) as never}
			className={className ?? ""}
			aria-label={label}
			activeOptions={{ exact: to === "/", includeSearch: false }}
			onClick={onClick}
		>
			{children}
		</Link>
	);
}
